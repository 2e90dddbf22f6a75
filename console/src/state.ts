// How an object stands, from its conditions: one judgement for every view.

import type { Condition, Kind, Row } from './types';

export type Level = 'bad' | 'notice' | 'waiting' | 'off' | 'good';

export interface State {
  level: Level;
  /** In a word or two. */
  word: string;
  reason: string;
  message: string;
  since: string | null;
}

/** The most urgent first. */
export const LEVELS: readonly Level[] = ['bad', 'notice', 'waiting', 'off', 'good'];

/** The condition of each kind that speaks of the outside world, and what it is called when it holds or not. */
const OUTSIDE: Record<Kind, { type: string; good: string; bad: string }> = {
  LlmProvider: { type: 'ModelsSynced', good: 'In force', bad: 'Sync failed' },
  LlmEndpoint: { type: 'Healthy', good: 'Healthy', bad: 'Unhealthy' },
  LlmCredential: { type: 'Valid', good: 'Valid', bad: 'Not valid' },
  LlmModel: { type: 'Available', good: 'Available', bad: 'Unavailable' },
  LlmModelClass: { type: 'Available', good: 'Available', bad: 'No model' },
};

const NOTICES: Record<string, string> = {
  ExpiresSoon: 'Expires soon',
  RetiresSoon: 'Retires soon',
  KeyRestricted: 'Restricted',
  Deprecated: 'Deprecated',
  UnderMaintenance: 'Maintenance',
};

const WORDS: Record<string, string> = {
  QuotaExhausted: 'Quota used up',
  KeyRejected: 'Rejected',
  Expired: 'Expired',
  Retired: 'Retired',
};

export function condition(row: Row, type: string): Condition | undefined {
  return row.conditions.find((one) => one.type === type);
}

const judged = new WeakMap<Row, State>();

export function stateOf(kind: Kind, row: Row): State {
  let state = judged.get(row);
  if (state === undefined) {
    state = judge(kind, row);
    judged.set(row, state);
  }
  return state;
}

function judge(kind: Kind, row: Row): State {
  const { type, good, bad } = OUTSIDE[kind];
  const ready = condition(row, 'Ready');
  const outside = condition(row, type);
  const say = (level: Level, word: string, from: Condition | undefined): State => ({
    level,
    word,
    reason: from?.reason ?? 'NotCheckedYet',
    message: from?.message ?? '',
    since: from?.lastTransitionTime ?? null,
  });
  if (ready?.status === 'False') {
    const word = outside?.status === 'False' && outside.reason === ready.reason ? bad : 'Broken';
    return say('bad', WORDS[ready.reason] ?? word, ready);
  }
  if (!row.is_active) return say('off', 'Off', ready);
  if (outside?.status === 'False') return say('bad', WORDS[outside.reason] ?? bad, outside);
  for (const one of [ready, outside]) {
    const word = one === undefined ? undefined : NOTICES[one.reason];
    if (word !== undefined) return say('notice', word, one);
  }
  if (ready?.status !== 'True') return say('waiting', 'Waiting', ready ?? outside);
  if (outside?.status === 'True') return say('good', good, outside);
  // Most providers read no list of models: they are what was declared.
  if (kind === 'LlmProvider') return say('good', good, ready);
  return say('waiting', 'Not checked', outside);
}

/** How many stand how; only what there is, the most urgent first. */
export function tally(kind: Kind, rows: readonly Row[]): { level: Level; word: string; number: number }[] {
  const found = new Map<string, { level: Level; word: string; number: number }>();
  for (const row of rows) {
    const { level, word } = stateOf(kind, row);
    const one = found.get(word);
    if (one === undefined) found.set(word, { level, word, number: 1 });
    else one.number += 1;
  }
  return [...found.values()].sort(
    (a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level) || b.number - a.number,
  );
}
