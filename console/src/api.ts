// Requests to the API: through `llmplane console`, which adds the token, or with a token that was pasted.

import { signal } from '@preact/signals';

/** The page is at /console/, the API beside it. */
const API = new URL('../api/v1/', document.baseURI);
const CONSOLE = new URL('./', document.baseURI);
/** Where this tab keeps its right to ask `llmplane console`; it opens nothing else. */
const SESSION = 'llmplane-console-session';

/** A problem of the API (RFC 9457), or of the way to it. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly body: Record<string, unknown> = {},
    readonly retryAfter: number | null = null,
  ) {
    super(`${title}: ${detail}`);
  }

  /** Whether the same question may be answered later. */
  get passes(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export interface Session {
  /** `starting`, `closed` (opened without its address), `token` (waits for a token), or `open`. */
  state: 'starting' | 'closed' | 'token' | 'open';
  mode: 'proxy' | 'token';
  /** Why it is not open. */
  problem: Problem | null;
  /** Who asks the API; null where only the token says so. */
  user: string | null;
  /** The namespace to begin with; `*` for all. */
  namespace: string;
  /** Namespaces to choose from, as far as they are known. */
  namespaces: string[];
}

export const session = signal<Session>({
  state: 'starting',
  mode: 'proxy',
  problem: null,
  user: null,
  namespace: '',
  namespaces: [],
});

let token: string | null = null;

function credentials(): Record<string, string> {
  if (token !== null) return { Authorization: `Bearer ${token}` };
  const own = sessionStorage.getItem(SESSION);
  return own === null ? {} : { 'Llmplane-Console-Session': own };
}

/** Begins: by the code of the address that was opened, or by what this tab has kept. */
export async function start(): Promise<void> {
  const code = /^#code=([\w-]+)$/.exec(location.hash)?.[1];
  try {
    if (code !== undefined) {
      // Gone from the address bar and the history before anything else.
      history.replaceState(null, '', location.pathname + '#/');
      const answer = await send(new URL('session', CONSOLE), {
        method: 'POST',
        headers: { 'Llmplane-Console-Code': code },
      });
      sessionStorage.setItem(SESSION, ((await answer.json()) as { session: string }).session);
    }
    const answer = await send(new URL('session', CONSOLE), { headers: credentials() });
    const said = (await answer.json()) as Pick<Session, 'mode' | 'user' | 'namespace' | 'namespaces'>;
    const state = said.mode === 'token' ? 'token' : 'open';
    session.value = { ...session.value, ...said, state, problem: null };
  } catch (error) {
    session.value = { ...session.value, state: 'closed', problem: asProblem(error) };
  }
}

// The whole address, pasted where the page is open already: the browser does not load it anew.
window.addEventListener('hashchange', () => {
  if (location.hash.startsWith('#code=')) void start();
});

/** Goes on with a token, which is kept in memory alone. */
export function signIn(pasted: string, namespace: string): void {
  token = pasted;
  session.value = { ...session.value, state: 'open', problem: null, user: null, namespace };
}

/** The token, or the session, counts no more. */
export function signOut(problem: Problem | null): void {
  token = null;
  const state = session.value.mode === 'token' ? 'token' : 'closed';
  session.value = { ...session.value, state, problem };
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const said = error instanceof Error ? error.message : String(error);
  return new Problem(0, 'The connection broke off', `What serves this page says no more (${said}).`);
}

async function send(url: URL, init: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(url, { ...init, cache: 'no-store', credentials: 'omit', redirect: 'error' });
  } catch (error) {
    // Given up on purpose: the reason says why.
    if (init.signal?.aborted === true) throw error;
    throw new Problem(0, 'No answer', 'What serves this page does not answer; is it still running?');
  }
  if (answer.ok) return answer;
  let body: Record<string, unknown> = {};
  try {
    const said: unknown = await answer.json();
    if (typeof said === 'object' && said !== null) body = said as Record<string, unknown>;
  } catch {
    // No problem document: the status says what there is to say.
  }
  const text = (key: string, otherwise: string) => {
    const said = body[key];
    return typeof said === 'string' ? said : otherwise;
  };
  const after = Number(answer.headers.get('Retry-After') ?? NaN);
  throw new Problem(
    answer.status,
    text('title', `Status ${answer.status}`),
    text('detail', 'The answer says no more.'),
    body,
    Number.isFinite(after) ? after : null,
  );
}

/** An answer of the API, whatever its form. */
export async function request(
  path: string,
  query: Record<string, string | string[] | undefined> = {},
  init: RequestInit = {},
): Promise<Response> {
  const url = new URL(path, API);
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== '') url.searchParams.append(name, one);
    }
  }
  const headers = { ...credentials(), ...(init.headers as Record<string, string> | undefined) };
  try {
    return await send(url, { ...init, headers });
  } catch (error) {
    if (error instanceof Problem && error.status === 401) signOut(error);
    throw error;
  }
}

export async function get<T>(
  path: string,
  query: Record<string, string | string[] | undefined> = {},
  signal?: AbortSignal,
): Promise<T> {
  return (await (await request(path, query, { signal: signal ?? null })).json()) as T;
}

export async function post<T>(
  path: string,
  query: Record<string, string | undefined>,
  body: unknown,
  signal?: AbortSignal,
): Promise<T> {
  const answer = await request(path, query, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    signal: signal ?? null,
  });
  return (await answer.json()) as T;
}

/** A file beside the page, made by what serves it. */
export async function beside<T>(name: string, query: Record<string, string> = {}): Promise<T> {
  const url = new URL(name, CONSOLE);
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
  return (await (await send(url, { headers: credentials() })).json()) as T;
}
