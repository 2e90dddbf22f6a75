// What the pages of single objects have in common.

import type { ComponentChildren } from 'preact';

import { stateOf } from '../state';
import type { Condition, Kind, Row } from '../types';
import { Mark } from './Mark';
import { Note, remedy } from './Message';
import { NOUN_OF, OwnName, Text, title } from './Names';
import { Time } from './Time';

export function ObjectHead({ kind, row, children }: { kind: Kind; row: Row; children?: ComponentChildren }) {
  const state = stateOf(kind, row);
  const help = state.level === 'good' || state.level === 'off' ? undefined : remedy(state.reason);
  return (
    <header class="object-head">
      <p class="kind">{NOUN_OF[kind]}</p>
      <h1 tabIndex={-1}>
        <Text of={title(row)} />
      </h1>
      <p class="under-title">
        <OwnName row={row} /> {children}
      </p>
      <div class={`verdict ${state.level}`}>
        <Mark state={state} />
        <span class="quiet">
          {state.reason}
          {state.since !== null && (
            <>
              , <Time at={state.since} />
            </>
          )}
        </span>
        {state.message !== '' && (
          <p>
            <Text of={state.message} />
          </p>
        )}
        {help !== undefined && <p class="quiet">{help}</p>}
      </div>
    </header>
  );
}

/** Pairs of a word and what it stands for; what is null is left out. */
export function Facts({ of }: { of: [string, ComponentChildren][] }) {
  const known = of.filter(([, value]) => value !== null && value !== undefined && value !== '');
  return (
    <dl class="facts">
      {known.map(([word, value]) => (
        <div key={word}>
          <dt>{word}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

const LEVEL_OF = { True: 'good', False: 'bad', Unknown: 'waiting' } as const;

export function Conditions({ of }: { of: Condition[] }) {
  return (
    <section aria-labelledby="conditions">
      <h2 id="conditions">Conditions</h2>
      {of.length === 0 ? (
        <p class="quiet">None yet: the controller has not looked at it.</p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-labelledby="conditions">
          <table class="plain">
            <caption class="unseen">Conditions of the object</caption>
            <thead>
              <tr>
                <th scope="col">Condition</th>
                <th scope="col">Status</th>
                <th scope="col">Reason</th>
                <th scope="col">Since</th>
                <th scope="col">Message</th>
              </tr>
            </thead>
            <tbody>
              {of.map((one) => (
                <tr key={one.type}>
                  <th scope="row">{one.type}</th>
                  <td>
                    <Mark
                      state={{
                        level: one.type === 'Stalled' ? 'bad' : LEVEL_OF[one.status],
                        word: one.status,
                      }}
                    />
                  </td>
                  <td>{one.reason}</td>
                  <td>
                    <Time at={one.lastTransitionTime} />
                  </td>
                  <td class="message">
                    <Text of={one.message} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

export function Gone({ noun }: { noun: string }) {
  return (
    <>
      <h1 tabIndex={-1}>There is no such {noun}</h1>
      <Note title="It is not in this namespace">
        <p>It was deleted, is not in force, or you may not see it. Choose another namespace above.</p>
      </Note>
    </>
  );
}
