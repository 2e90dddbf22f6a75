// The stream of changes: all rows, then what changes, as long as the page is open.

import { createParser } from 'eventsource-parser';

import { asProblem, Problem, request } from './api';
import { begin, clear, complete, connection, forget, keep, reset, upsert } from './store';
import { KINDS, type Kind, type Row } from './types';

/** A heartbeat comes every 15 s or so; without one for this long the way is broken. */
const SILENCE_MS = 45_000;
const MAX_WAIT_MS = 30_000;
const SILENT = new Problem(
  0,
  'The API is silent',
  'Nothing came of it for 45 seconds: it hangs, or the way to it is broken. What is shown may be old.',
);

interface Change {
  kind: Kind;
  id: string;
  row: Row | null;
}

const isKind = (kind: string): kind is Kind => (KINDS as readonly string[]).includes(kind);

/** Follows a namespace until the answer is called. */
export function follow(namespace: string): () => void {
  const stop = new AbortController();
  clear();
  connection.value = { state: 'connecting', problem: null, missing: [] };
  void run(namespace, stop.signal);
  return () => stop.abort();
}

async function run(namespace: string, stop: AbortSignal): Promise<void> {
  let last: string | null = null;
  let wait = 1000;
  let kinds: readonly Kind[] = KINDS;
  const stream = async (): Promise<void> => {
    const silence = new AbortController();
    const signal = AbortSignal.any([stop, silence.signal]);
    const giveUp = () => silence.abort();
    let alarm = setTimeout(giveUp, SILENCE_MS);
    begin();
    try {
      const headers: Record<string, string> = last === null ? {} : { 'Last-Event-ID': last };
      const answer = await request('watch', { namespace, kind: [...kinds] }, { headers, signal });
      if (answer.body === null) return;
      connection.value = { state: 'live', problem: null, missing: missing(kinds) };
      const parser = createParser({
        onRetry: (milliseconds) => (wait = milliseconds),
        onEvent: (event) => {
          if (event.event === 'reset') {
            reset();
            last = null;
          }
          if (event.event === 'upsert' || event.event === 'delete') {
            const change = JSON.parse(event.data) as Change;
            if (isKind(change.kind)) {
              if (change.row === null) forget(change.kind, change.id);
              else upsert(change.kind, change.row);
            }
          }
          if (event.id !== undefined) {
            last = event.id;
            complete();
          }
        },
      });
      const text = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await text.read();
        // What comes late is of another namespace than the one that is looked at.
        if (done || stop.aborted) return;
        clearTimeout(alarm);
        alarm = setTimeout(giveUp, SILENCE_MS);
        parser.feed(value);
      }
    } catch (error) {
      throw silence.signal.aborted ? SILENT : error;
    } finally {
      clearTimeout(alarm);
    }
  };

  while (!stop.aborted) {
    let problem: Problem;
    try {
      await stream();
      // It ended as it was told to, by the end of its token or of a replica: nothing is wrong.
      await pause(wait, stop);
      continue;
    } catch (error) {
      if (stop.aborted) return;
      problem = asProblem(error);
    }
    if (problem.status === 403) {
      const left = await watchable(namespace, kinds, stop);
      if (stop.aborted) return;
      // What may be watched no more is shown no more; what is left begins anew.
      keep(left);
      last = null;
      const isNarrower = left.length > 0 && left.length < kinds.length;
      kinds = left.length > 0 ? left : KINDS;
      if (isNarrower) {
        connection.value = { ...connection.value, missing: missing(kinds) };
        continue;
      }
    }
    if (problem.status === 401) return;
    const final = problem.status === 403 || problem.status === 400 || problem.status === 404;
    connection.value = { state: final ? 'refused' : 'retrying', problem, missing: missing(kinds) };
    // A right may be granted meanwhile: it is asked again, at leisure.
    const after = final ? MAX_WAIT_MS : (problem.retryAfter ?? 0) * 1000 || wait;
    wait = Math.min(wait * 2, MAX_WAIT_MS);
    await pause(after, stop);
  }
}

const missing = (kinds: readonly Kind[]): Kind[] => KINDS.filter((kind) => !kinds.includes(kind));

/** Those of the kinds that the caller is not refused, each tried by itself. */
async function watchable(namespace: string, kinds: readonly Kind[], stop: AbortSignal): Promise<Kind[]> {
  const tries = kinds.map(async (kind) => {
    const trial = new AbortController();
    try {
      await request('watch', { namespace, kind }, { signal: AbortSignal.any([stop, trial.signal]) });
      return [kind];
    } catch (error) {
      return asProblem(error).status === 403 ? [] : [kind];
    } finally {
      trial.abort();
    }
  });
  return (await Promise.all(tries)).flat();
}

function pause(milliseconds: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    stop.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
