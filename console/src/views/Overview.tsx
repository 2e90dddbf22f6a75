import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

import { beside, session } from '../api';
import { count, counted } from '../format';
import { MarkOf, Shape, Tally } from '../parts/Mark';
import { Loaded, Note, remedy } from '../parts/Message';
import { NOUN_OF, NOUNS_OF, ObjectLink, OwnName, Text, title, VIEW_OF } from '../parts/Names';
import { Table, type Column } from '../parts/Table';
import { Time } from '../parts/Time';
import { href } from '../router';
import { LEVELS, type Level, stateOf } from '../state';
import { classes, credentials, endpoints, families, models, NO_FAMILY, providers, total } from '../store';
import type { Kind, Provider, Refused, Row } from '../types';

/** Objects that are declared and have no row, as the cluster tells them to whom this page runs for. */
const refused = signal<{ namespace: string; items: Refused[]; detail: string | null }>({
  namespace: '',
  items: [],
  detail: null,
});
const REFUSED_EVERY_MS = 60_000;

interface Trouble {
  level: Level;
  word: string;
  kind: string;
  reason: string;
  message: string;
  since: string | null;
  objects: { name: string; link: { kind: Kind; row: Row } | null }[];
}

/** What needs somebody, gathered by kind and reason: the most urgent first, then what concerns most. */
function troubles(): Trouble[] {
  const found = new Map<string, Trouble>();
  const add = (one: Omit<Trouble, 'objects'>, object: Trouble['objects'][number]) => {
    const key = `${one.kind} ${one.reason} ${one.word}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, { ...one, objects: [object] });
    else known.objects.push(object);
  };
  const rows: [Kind, Row[]][] = [
    ['LlmProvider', providers.value],
    ['LlmEndpoint', endpoints.value],
    ['LlmCredential', credentials.value],
    ['LlmModel', models.value],
    ['LlmModelClass', classes.value],
  ];
  const inForce = new Set(
    rows.flatMap(([kind, list]) => list.map((row) => `${kind} ${row.namespace}/${row.name}`)),
  );
  for (const { kind, namespace, name, reason, message, since } of refused.value.items) {
    if (inForce.has(`${kind} ${namespace}/${name}`)) continue;
    add(
      { level: 'bad', word: 'Not in force', kind, reason, message, since },
      { name: `${namespace}/${name}`, link: null },
    );
  }
  for (const [kind, list] of rows) {
    for (const row of list) {
      const state = stateOf(kind, row);
      if (state.level === 'bad' || state.level === 'notice') {
        add({ ...state, kind }, { name: title(row), link: { kind, row } });
      }
    }
  }
  return [...found.values()].sort(
    (a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level) || b.objects.length - a.objects.length,
  );
}

const NAMED_AT_ONCE = 3;
const NAMED_AT_MOST = 100;

function TroubleItem({ trouble }: { trouble: Trouble }) {
  const { level, word, kind, reason, message, since, objects } = trouble;
  const noun = NOUN_OF[kind as Kind] ?? kind;
  const nouns = NOUNS_OF[kind as Kind] ?? `${kind}s`;
  const first = objects.slice(0, NAMED_AT_ONCE);
  const others = objects.slice(NAMED_AT_ONCE, NAMED_AT_MOST);
  const help = remedy(reason);
  const named = (list: Trouble['objects']) =>
    list.map(({ name, link }, place) => (
      <span key={place}>
        {place > 0 && ', '}
        {link === null ? <Text of={name} /> : <ObjectLink kind={link.kind} row={link.row} />}
      </span>
    ));
  return (
    <li class="trouble">
      <Shape level={level} />
      <div>
        <p class="trouble-title">
          <strong class={`ink ${level}`}>{word}</strong> {counted(objects.length, noun, nouns)}:{' '}
          {named(first)}
          {objects.length > NAMED_AT_ONCE && ` and ${count(objects.length - NAMED_AT_ONCE)} more`}
        </p>
        {message !== '' && (
          <p class="message">
            <Text of={message} />
          </p>
        )}
        <p class="quiet">
          {reason}
          {since !== null && (
            <>
              , <Time at={since} />
            </>
          )}
          {help !== undefined && `. ${help}`}
        </p>
        {others.length > 0 && (
          <details>
            <summary>
              The others{objects.length > NAMED_AT_MOST && `, the first ${NAMED_AT_MOST} of them`}
            </summary>
            <p>{named(others)}</p>
          </details>
        )}
      </div>
    </li>
  );
}

const SHOWN_TROUBLES = 12;

function Attention() {
  const all = troubles();
  return (
    <section aria-labelledby="attention">
      <h2 id="attention">Needs attention</h2>
      {all.length === 0 ? (
        <p class="calm">
          <Shape level="good" /> Nothing: all that is declared here works, as far as it was checked.
        </p>
      ) : (
        <ul class="troubles">
          {all.slice(0, SHOWN_TROUBLES).map((trouble) => (
            <TroubleItem key={`${trouble.kind} ${trouble.reason} ${trouble.word}`} trouble={trouble} />
          ))}
        </ul>
      )}
      {all.length > SHOWN_TROUBLES && (
        <p class="quiet">And {counted(all.length - SHOWN_TROUBLES, 'more kind', 'more kinds')} of trouble.</p>
      )}
      {session.value.mode === 'token' && (
        <p class="quiet">
          What is declared and refused has no row here; <code>kubectl llm status</code> tells of it too.
        </p>
      )}
      {refused.value.detail !== null && <p class="quiet">{refused.value.detail}</p>}
    </section>
  );
}

function Figure({ kind, label, rows }: { kind: Kind; label: string; rows: Row[] }) {
  return (
    <li>
      <a class="figure" href={kind === 'LlmProvider' ? '#by-provider' : href(VIEW_OF[kind])} onClick={jump}>
        <span class="figure-label">{label}</span>
        <span class="figure-number">{count(rows.length)}</span>
        <Tally kind={kind} rows={rows} />
      </a>
    </li>
  );
}

/** To a heading of this page: the address is the router's. */
function jump(event: Event): void {
  const target = (event.currentTarget as HTMLAnchorElement).getAttribute('href') ?? '';
  if (target.startsWith('#/')) return;
  event.preventDefault();
  const heading = document.getElementById(target.slice(1));
  heading?.scrollIntoView();
  heading?.focus();
}

function soonest(rows: { expires_at: string | null }[]): string | null {
  const ends = rows.flatMap((row) => (row.expires_at === null ? [] : [row.expires_at]));
  return ends.sort((a, b) => Date.parse(a) - Date.parse(b))[0] ?? null;
}

function share(kind: Kind, rows: Row[]) {
  const good = rows.filter((row) => ['good', 'notice'].includes(stateOf(kind, row).level)).length;
  const level = rows.some((row) => stateOf(kind, row).level === 'bad')
    ? 'bad'
    : good === rows.length
      ? 'good'
      : 'waiting';
  if (rows.length === 0) return <span class="quiet">none</span>;
  return (
    <span class={`mark ${level}`}>
      <Shape level={level} />
      <span>
        {count(good)} <span class="quiet">of {count(rows.length)}</span>
      </span>
    </span>
  );
}

const family = (provider: Provider) => families.value.get(provider.id) ?? NO_FAMILY;

const COLUMNS: Column<Provider>[] = [
  {
    key: 'name',
    label: 'Provider',
    by: (row) => title(row).toLowerCase(),
    cell: (row) => (
      <>
        <ObjectLink kind="LlmProvider" row={row} />
        <span class="sub">
          {row.type} · <OwnName row={row} />
        </span>
      </>
    ),
  },
  {
    key: 'state',
    label: 'State',
    width: 9,
    by: (row) => LEVELS.indexOf(stateOf('LlmProvider', row).level),
    cell: (row) => <MarkOf kind="LlmProvider" row={row} />,
  },
  {
    key: 'endpoints',
    label: 'Endpoints',
    width: 9.5,
    wide: true,
    by: (row) => family(row).endpoints.length,
    cell: (row) => share('LlmEndpoint', family(row).endpoints),
  },
  {
    key: 'keys',
    label: 'Keys',
    width: 9.5,
    wide: true,
    by: (row) => {
      const end = soonest(family(row).credentials);
      return end === null ? null : Date.parse(end);
    },
    cell: (row) => {
      const end = soonest(family(row).credentials);
      return (
        <>
          {share('LlmCredential', family(row).credentials)}
          {end !== null && (
            <span class="sub">
              first ends <Time at={end} />
            </span>
          )}
        </>
      );
    },
  },
  {
    key: 'models',
    label: 'Models',
    width: 9.5,
    by: (row) => family(row).models.length,
    cell: (row) => share('LlmModel', family(row).models),
  },
];

export function Overview() {
  const { namespace } = session.value;
  useEffect(() => {
    if (session.value.mode === 'token') return;
    // What is kept may be another namespace's.
    if (refused.value.namespace !== namespace) refused.value = { namespace, items: [], detail: null };
    let stopped = false;
    const ask = () => {
      if (document.hidden) return;
      beside<Refused[]>('refused', { namespace }).then(
        (items) => stopped || (refused.value = { namespace, items, detail: null }),
        (error: Error) => stopped || (refused.value = { namespace, items: [], detail: error.message }),
      );
    };
    ask();
    const timer = setInterval(ask, REFUSED_EVERY_MS);
    return () => {
      stopped = true;
      clearInterval(timer);
    };
  }, [namespace]);
  return (
    <>
      <h1 tabIndex={-1}>Overview</h1>
      <Loaded>
        {total.value === 0 && refused.value.items.length === 0 ? (
          <Note title="Nothing is declared here">
            <p>
              Choose another namespace above, or begin: <code>llmplane init OpenAI | kubectl apply -f -</code>
            </p>
          </Note>
        ) : (
          <>
            <ul class="figures">
              <Figure kind="LlmProvider" label="Providers" rows={providers.value} />
              <Figure kind="LlmEndpoint" label="Endpoints" rows={endpoints.value} />
              <Figure kind="LlmCredential" label="Keys" rows={credentials.value} />
              <Figure kind="LlmModel" label="Models" rows={models.value} />
              <Figure kind="LlmModelClass" label="Classes" rows={classes.value} />
            </ul>
            <Attention />
            <section aria-labelledby="by-provider">
              <h2 id="by-provider" tabIndex={-1}>
                By provider
              </h2>
              <Table
                caption="Providers, and what of theirs works"
                columns={COLUMNS}
                items={providers.value}
                id={(row) => row.id}
                sortedBy="name"
              />
            </section>
          </>
        )}
      </Loaded>
    </>
  );
}
