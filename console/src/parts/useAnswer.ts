// An answer of the API that a part of a view waits for.

import { useEffect, useState } from 'preact/hooks';

import { asProblem, type Problem } from '../api';

/** How soon it is asked again after what passes, in seconds. */
const AGAIN_S = 10;

interface Asked<Answer> {
  answer: Answer | null;
  problem: Problem | null;
}

/** What is asked anew whenever the key changes, and again by itself as long as nobody answers. */
export function useAnswer<Answer>(key: string, ask: (signal: AbortSignal) => Promise<Answer>): Asked<Answer> {
  const [asked, setAsked] = useState<Asked<Answer>>({ answer: null, problem: null });
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const once = async (): Promise<void> => {
      try {
        const answer = await ask(stop.signal);
        if (!stop.signal.aborted) setAsked({ answer, problem: null });
      } catch (error) {
        if (stop.signal.aborted) return;
        const problem = asProblem(error);
        setAsked({ answer: null, problem });
        if (problem.passes)
          timer = setTimeout(() => void once(), Math.max(1, problem.retryAfter ?? AGAIN_S) * 1000);
      }
    };
    void once();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [key]);
  return asked;
}
