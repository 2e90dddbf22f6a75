// When a model ends, and what may be asked of that.

import type { Model } from './types';

export interface End {
  /** Null where its vendor only says that it ends, or has ended. */
  at: string | null;
  word: string;
  /** Milliseconds since 1970; what has ended at a time that nobody said is before all, what will is behind. */
  order: number;
  isRetired: boolean;
}

/** As declared, or as its condition says; null where no end is known. */
export function endOf(row: Model): End | null {
  const isRetired = row.conditions.some((one) => one.reason === 'Retired');
  if (row.retires_at !== null) {
    return { at: row.retires_at, word: '', order: Date.parse(row.retires_at), isRetired };
  }
  if (isRetired) return { at: null, word: 'retired', order: -Infinity, isRetired };
  return row.status === 'deprecated' ? { at: null, word: 'deprecated', order: Infinity, isRetired } : null;
}

const DAY_MS = 24 * 3600_000;

interface Question {
  label: string;
  holds: (of: End | null, at: number) => boolean;
}

/** What may be asked of the end, by its name in the address. */
export const ENDS: ReadonlyMap<string, Question> = new Map([
  ['30', { label: 'within 30 days', holds: within(30) }],
  ['90', { label: 'within 90 days', holds: within(90) }],
  ['365', { label: 'within a year', holds: within(365) }],
  ['past', { label: 'has passed', holds: (of, at) => of !== null && (of.isRetired || of.order <= at) }],
  ['some', { label: 'has one', holds: (of) => of !== null }],
  ['none', { label: 'has none', holds: (of) => of === null }],
]);

/** What has ended already does not end within any time. */
function within(days: number): Question['holds'] {
  return (of, at) => of !== null && !of.isRetired && of.order > at && of.order <= at + days * DAY_MS;
}
