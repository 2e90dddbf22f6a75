import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';

import { beside, type Problem } from '../api';
import { connection, isLoaded } from '../store';
import { NOUNS_OF } from './Names';
import { Shape } from './Mark';

/** What to do about each reason: docs/conditions.md, as this release has it. */
const remedies = signal<Record<string, string>>({});
let asked = false;

export function remedy(reason: string): string | undefined {
  if (!asked) {
    asked = true;
    beside<Record<string, string>>('remedies.json').then(
      (found) => (remedies.value = found),
      () => (asked = false),
    );
  }
  return remedies.value[reason];
}

/** Why there is no answer, and what to do. */
export function ProblemNote({ problem, children }: { problem: Problem; children?: ComponentChildren }) {
  return (
    <div class="note bad" role="alert">
      <Shape level="bad" />
      <div>
        <p class="note-title">{problem.title}</p>
        <p>{problem.detail}</p>
        {problem.passes && children === undefined ? (
          <p class="quiet">It is tried again by itself.</p>
        ) : (
          children
        )}
      </div>
    </div>
  );
}

/** Why there is no answer about the audit, and who may read it. */
export function AuditProblem({ problem }: { problem: Problem }) {
  return (
    <ProblemNote problem={problem}>
      {problem.status === 403 ? (
        <p class="quiet">
          The ClusterRole <code>llmplane-auditor</code> holds this right.
        </p>
      ) : undefined}
    </ProblemNote>
  );
}

export function Note({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="note">
      <div>
        <p class="note-title">{title}</p>
        {children}
      </div>
    </div>
  );
}

/** What a view shows instead of rows, while there are none to be had; else what is in it. */
export function Loaded({ children }: { children: ComponentChildren }) {
  const { state, problem, missing } = connection.value;
  const hidden = missing.map((kind) => NOUNS_OF[kind]).join(', ');
  return (
    <>
      {problem !== null && state !== 'live' && <ProblemNote problem={problem} />}
      {hidden !== '' && (
        <Note title={`Not shown: ${hidden}`}>
          <p>
            You lack the right to <code>watch</code> them in this namespace; the ClusterRole{' '}
            <code>llmplane-viewer</code> holds it.
          </p>
        </Note>
      )}
      {isLoaded.value ? children : problem === null && <p class="quiet">Reading what is declared …</p>}
    </>
  );
}
