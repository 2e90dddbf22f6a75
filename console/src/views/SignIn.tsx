import { useEffect, useRef, useState } from 'preact/hooks';

import { type Problem, session, signIn } from '../api';
import { Note, ProblemNote } from '../parts/Message';

/** Instead of a view: where one was before, the reader is told that it is gone. */
function useEntrance(problem: Problem | null): void {
  useEffect(() => {
    document.title = 'llmplane';
    if (problem !== null) document.querySelector<HTMLElement>('main h1')?.focus();
  }, [problem]);
}

/** Where the API itself serves the page: it is asked with a token of the visitor's. */
export function SignIn() {
  const { problem } = session.value;
  const [said, setSaid] = useState<string | null>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  useEntrance(problem);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const token = String(form.get('token') ?? '').trim();
    const namespace = String(form.get('namespace') ?? '').trim();
    if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) {
      setSaid('This is no token of Kubernetes: it has three parts with dots between them.');
      field.current?.focus();
      return;
    }
    signIn(token, namespace || namespaceOf(token) || '*');
  };
  return (
    <main id="main" class="narrow" tabIndex={-1}>
      <h1 tabIndex={-1}>llmplane</h1>
      <p class="lead">Paste a token for the API. It stays in the memory of this page and ends with it.</p>
      {problem !== null && <ProblemNote problem={problem}>{null}</ProblemNote>}
      <form class="filters" onSubmit={submit}>
        <label>
          Token
          <textarea
            ref={field}
            name="token"
            rows={5}
            required
            spellcheck={false}
            autocomplete="off"
            aria-describedby={said === null ? 'how' : 'wrong how'}
            aria-invalid={said !== null}
          />
        </label>
        <label>
          Namespace
          <input type="text" name="namespace" autocomplete="off" placeholder="that of the token's account" />
        </label>
        {said !== null && (
          <p role="alert" id="wrong" class="ink bad">
            {said}
          </p>
        )}
        <button type="submit" class="main-button">
          Open
        </button>
      </form>
      <p id="how">
        One that may read: <code>kubectl create token NAME --audience=llmplane</code>
      </p>
    </main>
  );
}

/** The namespace of the ServiceAccount that a token names. */
function namespaceOf(token: string): string {
  try {
    const part = (token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/');
    const claims = JSON.parse(atob(part)) as { 'kubernetes.io'?: { namespace?: string } };
    return claims['kubernetes.io']?.namespace ?? '';
  } catch {
    return '';
  }
}

/** Opened without the code of its address, or after `llmplane console` has ended. */
export function Closed() {
  const { problem } = session.value;
  useEntrance(problem);
  return (
    <main id="main" class="narrow" tabIndex={-1}>
      <h1 tabIndex={-1}>llmplane</h1>
      {problem !== null && problem.status !== 401 ? (
        <ProblemNote problem={problem}>{null}</ProblemNote>
      ) : (
        <Note title="This page is opened by its whole address">
          <p>
            Open the address that <code>llmplane console</code> printed in your terminal, with all that
            follows the <code>#</code>. Where it has ended, start it again.
          </p>
        </Note>
      )}
    </main>
  );
}
