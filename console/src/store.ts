// All rows of the namespace that is looked at, kept current by the stream of changes (watch.ts).

import { computed, signal } from '@preact/signals';

import type { Problem } from './api';
import { KINDS, type Kind, type Row, type Rows } from './types';

type Tables = { [K in Kind]: Map<string, Rows[K]> };

const empty = (): Tables => ({
  LlmProvider: new Map(),
  LlmEndpoint: new Map(),
  LlmCredential: new Map(),
  LlmModel: new Map(),
  LlmModelClass: new Map(),
});

export interface Connection {
  state: 'connecting' | 'live' | 'retrying' | 'refused';
  /** Why it is not live. */
  problem: Problem | null;
  /** Kinds that the caller may not watch. */
  missing: Kind[];
}

export const connection = signal<Connection>({ state: 'connecting', problem: null, missing: [] });

let tables = empty();
/** Rows behind a `reset`, which replace all others once they are complete. */
let coming: Tables | null = null;
const version = signal(0);
/** Whether all rows that there are have come. */
export const isLoaded = signal(false);

/** How often what is shown follows the stream at most. */
const SHOW_EVERY_MS = 200;
let timer: ReturnType<typeof setTimeout> | null = null;

function changed(): void {
  timer ??= setTimeout(() => {
    timer = null;
    version.value += 1;
  }, SHOW_EVERY_MS);
}

export function clear(): void {
  tables = empty();
  coming = null;
  isLoaded.value = false;
  version.value += 1;
}

/** A stream begins: rows behind a `reset` that broke off are no whole, and nothing goes on from them. */
export function begin(): void {
  coming = null;
}

/** Forgets the rows of all other kinds. */
export function keep(kinds: readonly Kind[]): void {
  if (kinds.length === 0) return clear();
  for (const kind of KINDS) {
    if (!kinds.includes(kind)) tables[kind].clear();
  }
  version.value += 1;
}

export function reset(): void {
  coming = empty();
}

export function upsert(kind: Kind, row: Row): void {
  // The stream says which kind it is.
  (coming ?? tables)[kind].set(row.id, row as never);
  if (coming === null) changed();
}

export function forget(kind: Kind, id: string): void {
  (coming ?? tables)[kind].delete(id);
  if (coming === null) changed();
}

/** An event with an `id`: what came before it is complete. */
export function complete(): void {
  if (coming !== null) {
    tables = coming;
    coming = null;
    version.value += 1;
  }
  isLoaded.value = true;
}

const byName = (a: Row, b: Row): number =>
  a.namespace === b.namespace ? compare(a.name, b.name) : compare(a.namespace, b.namespace);

/** Code units in order: the same on every machine, and fast. */
export const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function listOf<K extends Kind>(kind: K) {
  return computed<Rows[K][]>(() => {
    void version.value;
    return [...(tables[kind] as Map<string, Rows[K]>).values()].sort(byName);
  });
}

export const providers = listOf('LlmProvider');
export const endpoints = listOf('LlmEndpoint');
export const credentials = listOf('LlmCredential');
export const models = listOf('LlmModel');
export const classes = listOf('LlmModelClass');

export const total = computed(() => {
  void version.value;
  return KINDS.reduce((sum, kind) => sum + tables[kind].size, 0);
});

/** Rows by id, for what points to them: another object whenever one of them is another. */
export const byId = computed(() => {
  void version.value;
  return { ...tables };
});

export interface Family {
  endpoints: Rows['LlmEndpoint'][];
  credentials: Rows['LlmCredential'][];
  models: Rows['LlmModel'][];
}

/** What belongs to each provider. */
export const families = computed(() => {
  const found = new Map<string, Family>();
  const of = (id: string): Family => {
    let family = found.get(id);
    if (family === undefined) {
      family = { endpoints: [], credentials: [], models: [] };
      found.set(id, family);
    }
    return family;
  };
  for (const row of endpoints.value) of(row.provider_id).endpoints.push(row);
  for (const row of credentials.value) of(row.provider_id).credentials.push(row);
  for (const row of models.value) of(row.provider_id).models.push(row);
  return found;
});

export const NO_FAMILY: Family = { endpoints: [], credentials: [], models: [] };

export function providerName(id: string): string {
  const provider = byId.value.LlmProvider.get(id);
  return provider === undefined ? '' : (provider.display_name ?? provider.name);
}
