import { useState } from 'preact/hooks';

import { session, signIn } from '../api';
import { Note, ProblemNote } from '../parts/Message';

/** Where the API itself serves the page: it is asked with a token of the visitor's. */
export function SignIn() {
  const { problem } = session.value;
  const [said, setSaid] = useState<string | null>(null);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const token = String(form.get('token') ?? '').trim();
    const namespace = String(form.get('namespace') ?? '').trim();
    if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) {
      setSaid('This is no token of Kubernetes: it has three parts with dots between them.');
      return;
    }
    signIn(token, namespace || namespaceOf(token) || '*');
  };
  return (
    <main id="main" class="narrow" tabIndex={-1}>
      <h1>llmplane</h1>
      <p class="lead">Paste a token for the API. It stays in the memory of this page and ends with it.</p>
      {problem !== null && <ProblemNote problem={problem}>{null}</ProblemNote>}
      <form class="filters" onSubmit={submit}>
        <label>
          Token
          <textarea
            name="token"
            rows={5}
            required
            spellcheck={false}
            autocomplete="off"
            aria-describedby="how"
          />
        </label>
        <label>
          Namespace
          <input type="text" name="namespace" autocomplete="off" placeholder="that of the token's account" />
        </label>
        {said !== null && (
          <p role="alert" class="ink bad">
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
  return (
    <main id="main" class="narrow" tabIndex={-1}>
      <h1>llmplane</h1>
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
