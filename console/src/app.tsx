import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

import { session } from './api';
import { count } from './format';
import { Shape } from './parts/Mark';
import { choose, href, route } from './router';
import type { Level } from './state';
import { connection, isLoaded, total } from './store';
import { follow } from './watch';
import { Audit } from './views/Audit';
import { ClassPage, Classes } from './views/Classes';
import { EndpointPage, Endpoints } from './views/Endpoints';
import { KeyPage, Keys } from './views/Keys';
import { ModelPage } from './views/Model';
import { Models } from './views/Models';
import { Overview } from './views/Overview';
import { ProviderPage } from './views/Providers';
import { Resolve } from './views/Resolve';
import { Closed, SignIn } from './views/SignIn';

const VIEWS: [string, string][] = [
  ['overview', 'Overview'],
  ['endpoints', 'Endpoints'],
  ['keys', 'Keys'],
  ['models', 'Models'],
  ['classes', 'Classes'],
  ['resolve', 'Resolve'],
  ['audit', 'Audit'],
];

function View(): ComponentChildren {
  const { view, id } = route.value;
  switch (view) {
    case 'overview':
      return <Overview />;
    case 'providers':
      return id === null ? <Overview /> : <ProviderPage id={id} />;
    case 'endpoints':
      return id === null ? <Endpoints /> : <EndpointPage id={id} />;
    case 'keys':
      return id === null ? <Keys /> : <KeyPage id={id} />;
    case 'models':
      return id === null ? <Models /> : <ModelPage id={id} />;
    case 'classes':
      return id === null ? <Classes /> : <ClassPage id={id} />;
    case 'resolve':
      return <Resolve />;
    case 'audit':
      return <Audit />;
    default:
      return (
        <>
          <h1 tabIndex={-1}>There is no such page</h1>
          <p>
            Go to the <a href={href('overview')}>overview</a>.
          </p>
        </>
      );
  }
}

const CONNECTIONS: Record<string, [Level, string]> = {
  connecting: ['waiting', 'Connecting'],
  live: ['good', 'Live'],
  retrying: ['notice', 'Not connected'],
  refused: ['bad', 'Refused'],
};

function Connection() {
  const [level, word] = CONNECTIONS[connection.value.state] ?? ['waiting', ''];
  return (
    <p class={`connection mark small ${level}`} role="status">
      <Shape level={level} />
      {word}
      {isLoaded.value && <span class="quiet"> {count(total.value)}</span>}
      {isLoaded.value && <span class="unseen"> objects</span>}
    </p>
  );
}

function NamespaceSwitch() {
  const { namespace, namespaces } = session.value;
  const known = [...new Set([namespace, ...namespaces])].filter((name) => name !== '*' && name !== '').sort();
  const field = useRef<HTMLInputElement>(null);
  if (namespaces.length > 0) {
    return (
      <label class="namespace">
        <span>Namespace</span>
        <select value={namespace} onChange={(event) => choose({ namespace: event.currentTarget.value })}>
          <option value="*">all</option>
          {known.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
    );
  }
  return (
    <form
      class="namespace"
      onSubmit={(event) => {
        event.preventDefault();
        choose({ namespace: field.current?.value.trim() || '*' });
      }}
    >
      <label>
        <span>Namespace</span>
        <input ref={field} type="text" size={14} key={namespace} defaultValue={namespace} title="* for all" />
      </label>
      <button type="submit" class="plain-button">
        Go
      </button>
    </form>
  );
}

type Theme = 'auto' | 'light' | 'dark';
const THEME = 'llmplane-console-theme';
const theme = signal<Theme>((localStorage.getItem(THEME) as Theme | null) ?? 'auto');

function ThemeSwitch() {
  useEffect(() => {
    document.documentElement.dataset.theme = theme.value;
    localStorage.setItem(THEME, theme.value);
  }, [theme.value]);
  return (
    <label class="theme">
      <span class="unseen">Colours</span>
      <select value={theme.value} onChange={(event) => (theme.value = event.currentTarget.value as Theme)}>
        <option value="auto">System</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </label>
  );
}

/** The title, and where the reader is, follow the view. */
function useArrival(view: string, id: string | null): void {
  const isFirst = useRef(true);
  useEffect(() => {
    const name = document.querySelector('main h1')?.textContent ?? '';
    document.title = name === '' ? 'llmplane' : `${name} · llmplane`;
  }, [view, id, isLoaded.value]);
  useEffect(() => {
    // Where the window is narrow the views scroll.
    document.querySelector('nav a[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    // A page that was just opened is read from its beginning; behind a token one comes from a form.
    const isOpened = isFirst.current && session.value.mode === 'proxy';
    isFirst.current = false;
    if (isOpened) return;
    window.scrollTo(0, 0);
    document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true });
  }, [view, id]);
}

function Shell() {
  const { view, id, query } = route.value;
  const { namespace } = session.value;
  const wanted = query.get('namespace');
  useEffect(() => {
    // Without one in the address it is the one that is looked at, so that each address is whole.
    if (wanted === null) {
      if (namespace !== '') choose({ namespace });
    } else if (wanted !== namespace) {
      session.value = { ...session.value, namespace: wanted };
    }
  }, [wanted, namespace]);
  useEffect(() => (namespace === '' ? undefined : follow(namespace)), [namespace]);
  useArrival(view, id);
  const current = view === 'providers' ? 'overview' : view;
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        To the content
      </a>
      <header class="top">
        <div class="top-row">
          <p class="brand">
            <a href={href('overview')}>llmplane</a>
          </p>
          <nav aria-label="Views">
            <ul>
              {VIEWS.map(([name, label]) => (
                <li key={name}>
                  <a href={href(name)} aria-current={current === name ? 'page' : undefined}>
                    {label}
                  </a>
                </li>
              ))}
            </ul>
          </nav>
          <div class="tools">
            <Connection />
            <NamespaceSwitch />
            <ThemeSwitch />
          </div>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        <View />
      </main>
      <footer>
        {session.value.user !== null && (
          <p class="quiet">
            Asked as <code>{session.value.user}</code>
          </p>
        )}
      </footer>
    </>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

export function App() {
  const { state } = session.value;
  if (state === 'starting') return <p class="quiet narrow">…</p>;
  if (state === 'token') return <SignIn />;
  if (state === 'closed') return <Closed />;
  return <Shell />;
}
