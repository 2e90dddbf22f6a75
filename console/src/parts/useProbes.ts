// Probes of endpoints: kept for as long as the page is open, read again when the endpoint is probed again.

import { useEffect, useState } from 'preact/hooks';

import { asProblem, get, Problem } from '../api';
import type { Endpoint, Probe } from '../types';

interface History {
  items: Probe[];
}

/** How old what is kept may be. */
const KEPT_MS = 20_000;
/** Requests at once: a list may show forty endpoints. */
const AT_ONCE = 3;

const kept = new Map<string, { at: number; probes: Probe[] }>();
const waiting: (() => void)[] = [];
let underWay = 0;

async function turn<T>(work: () => Promise<T>): Promise<T> {
  if (underWay >= AT_ONCE) await new Promise<void>((go) => waiting.push(go));
  underWay += 1;
  try {
    return await work();
  } finally {
    underWay -= 1;
    waiting.shift()?.();
  }
}

export interface Probes {
  probes: Probe[] | null;
  problem: Problem | null;
}

export function useProbes(endpoint: Endpoint, limit: number): Probes {
  const key = `${endpoint.id} ${limit}`;
  const [, render] = useState(0);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    const read = async () => {
      const known = kept.get(key);
      if (known !== undefined && Date.now() - known.at < KEPT_MS) return;
      try {
        const history = await turn(async () => {
          if (stop.signal.aborted) return null;
          const path = `endpoints/${endpoint.id}/health`;
          return await get<History>(
            path,
            { limit: String(limit), namespace: endpoint.namespace },
            stop.signal,
          );
        });
        if (history === null) return;
        kept.set(key, { at: Date.now(), probes: history.items });
        setProblem(null);
        render((times) => times + 1);
      } catch (error) {
        if (!stop.signal.aborted) setProblem(asProblem(error));
      }
    };
    void read();
    const timer = setInterval(() => {
      if (!document.hidden) void read();
    }, KEPT_MS + 500);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [key]);
  return { probes: kept.get(key)?.probes ?? null, problem };
}
