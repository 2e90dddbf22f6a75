import type { ComponentChildren } from 'preact';

import { type Level, type State, stateOf, tally } from '../state';
import type { Kind, Row } from '../types';

/** A shape for each level: it is told without colour, too. */
const SHAPES: Record<Level, ComponentChildren> = {
  good: (
    <>
      <circle cx="8" cy="8" r="6.5" />
      <path d="M5.2 8.2l2 2 3.7-4.2" />
    </>
  ),
  notice: (
    <>
      <path d="M8 1.8l6.4 11.7H1.6z" />
      <path d="M8 6.2v3.4M8 11.4v.4" />
    </>
  ),
  bad: (
    <>
      <path d="M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3z" />
      <path d="M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4" />
    </>
  ),
  waiting: (
    <>
      <circle cx="8" cy="8" r="6.5" stroke-dasharray="2.6 2.1" />
      <path d="M8 4.8V8l2.2 1.6" />
    </>
  ),
  off: (
    <>
      <circle cx="8" cy="8" r="6.5" />
      <path d="M5 8h6" />
    </>
  ),
};

export function Shape({ level }: { level: Level }) {
  return (
    <svg class={`shape ${level}`} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      {SHAPES[level]}
    </svg>
  );
}

/** A state: its shape and its word. */
export function Mark({ state }: { state: Pick<State, 'level' | 'word'> }) {
  return (
    <span class={`mark ${state.level}`}>
      <Shape level={state.level} />
      {state.word}
    </span>
  );
}

export function MarkOf({ kind, row }: { kind: Kind; row: Row }) {
  return <Mark state={stateOf(kind, row)} />;
}

/** How many of these stand how: a bar, and the same in words. */
export function Tally({ kind, rows }: { kind: Kind; rows: readonly Row[] }) {
  const parts = tally(kind, rows);
  return (
    <>
      <span class="bar" aria-hidden="true">
        {parts.map((part) => (
          <span key={part.word} class={`bar-part ${part.level}`} style={{ flexGrow: part.number }} />
        ))}
      </span>
      <span class="tally">
        {parts.map((part) => (
          <span key={part.word} class={`mark small ${part.level}`}>
            <Shape level={part.level} />
            {part.number.toLocaleString('en')} {part.word.toLowerCase()}
          </span>
        ))}
      </span>
    </>
  );
}
