import { signal } from '@preact/signals';

/** The time, to within half a minute. */
export const now = signal(Date.now());
setInterval(() => (now.value = Date.now()), 30_000);

const whole = new Intl.NumberFormat('en');
export const count = (number: number): string => whole.format(number);

/** `1 model`, `2 models`. */
export const counted = (number: number, one: string, many = `${one}s`): string =>
  `${count(number)} ${number === 1 ? one : many}`;

/** Tokens, short: `128k`, `1M`; what is not round stays as it is. */
export function tokens(number: number | null): string {
  if (number === null) return '–';
  for (const [size, word] of [
    [1_000_000, 'M'],
    [1_048_576, 'Mi'],
    [1000, 'k'],
    [1024, 'Ki'],
  ] as const) {
    if (number >= size && number % size === 0) return `${count(number / size)}${word}`;
  }
  return number >= 10_000 ? `${count(Math.round(number / 1000))}k` : count(number);
}

const steps: [number, Intl.RelativeTimeFormatUnit][] = [
  [60, 'second'],
  [60, 'minute'],
  [24, 'hour'],
  [30, 'day'],
  [12, 'month'],
  [Infinity, 'year'],
];
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** `3 hours ago`, `in 6 days`. */
export function fromNow(time: string, at: number): string {
  let amount = (Date.parse(time) - at) / 1000;
  if (Number.isNaN(amount)) return time;
  if (Math.abs(amount) < 45) return amount <= 0 ? 'just now' : 'in a moment';
  for (const [size, unit] of steps) {
    if (Math.abs(amount) < size) return relative.format(Math.round(amount), unit);
    amount /= size;
  }
  return time;
}

const dateTime = new Intl.DateTimeFormat('en-CA', {
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
/** Local time: `2026-03-04 05:06:07`. */
export const absolute = (time: string): string =>
  Number.isNaN(Date.parse(time)) ? time : dateTime.format(new Date(time)).replace(',', '');

/** The same in its two parts: the day, and the time of day. */
export const dayAndTime = (time: string): [string, string] => {
  const [day = time, clock = ''] = absolute(time).split(' ');
  return [day, clock];
};

export function milliseconds(number: number): string {
  return number >= 10_000 ? `${(number / 1000).toFixed(1)} s` : `${count(Math.round(number))} ms`;
}

/** `FunctionCalling` as people write it. */
export const spaced = (word: string): string =>
  word
    .replace(/(?<=[a-z])(?=[A-Z])/g, ' ')
    .replace(/(?<= )[A-Z](?=[a-z])/g, (letter) => letter.toLowerCase());
