import { useEffect, useRef, useState } from 'preact/hooks';

import { asProblem, get, type Problem, session } from '../api';
import { AuditProblem } from '../parts/Message';
import { Text } from '../parts/Names';
import { Table, type Column } from '../parts/Table';
import { Stamp } from '../parts/Time';
import { choose, route } from '../router';
import type { AuditRow } from '../types';

interface Page {
  items: AuditRow[];
  next_cursor: string | null;
}

const PAGE = '100';
const EVERY_MS = 15_000;
const FILTERS = ['action', 'result', 'actor', 'kind', 'name'] as const;

const COLUMNS: Column<AuditRow>[] = [
  {
    key: 'at',
    label: 'When',
    width: 8,
    cell: (row) => <Stamp at={row.at} />,
  },
  {
    key: 'what',
    label: 'What',
    width: 11,
    cell: (row) => (
      <>
        {row.action}
        <span class="sub">
          {row.result}
          {row.count > 1 && `, ${row.count} times`}
        </span>
      </>
    ),
  },
  {
    key: 'who',
    label: 'Who',
    cell: (row) => (
      <>
        <span class="clip" title={row.actor}>
          <Text of={row.actor} />
        </span>
        <span class="sub">{row.pod !== null && <Text of={`pod ${row.pod} on ${row.node ?? '?'}`} />}</span>
      </>
    ),
  },
  {
    key: 'object',
    label: 'Of',
    wide: true,
    cell: (row) => (
      <>
        {row.name === null ? (
          <span class="quiet">–</span>
        ) : (
          <Text of={`${row.namespace ?? ''}/${row.name}`} />
        )}
        <span class="sub">
          {row.kind ?? ''}
          {row.credential_version !== null && `, version ${row.credential_version}`} · row {row.seq}
        </span>
      </>
    ),
  },
  {
    key: 'purpose',
    label: 'Purpose',
    width: 12,
    wide: true,
    cell: (row) => (row.purpose === null ? <span class="quiet">–</span> : <Text of={row.purpose} />),
  },
];

function Filters() {
  const { query } = route.value;
  const labels = { action: 'What', result: 'Result', actor: 'Who', kind: 'Kind', name: 'Name' };
  const hints = {
    action: 'Disclose',
    result: 'Disclosed',
    actor: 'system:serviceaccount:team:agent',
    kind: 'LlmCredential',
    name: 'openai',
  };
  return (
    <form
      class="filters"
      role="search"
      aria-label="Audit"
      onSubmit={(event) => {
        event.preventDefault();
        const form = new FormData(event.currentTarget);
        choose(Object.fromEntries(FILTERS.map((name) => [name, String(form.get(name) ?? '').trim()])));
      }}
    >
      <div class="fields">
        {FILTERS.map((name) => (
          <label key={name} class={name === 'actor' ? 'grow' : ''}>
            {labels[name]}
            <input type="text" name={name} defaultValue={query.get(name) ?? ''} placeholder={hints[name]} />
          </label>
        ))}
        <button type="submit" class="main-button">
          Show
        </button>
      </div>
    </form>
  );
}

type Asked = Record<string, string | undefined>;

export function Audit() {
  const { query } = route.value;
  const { namespace } = session.value;
  const asked: Asked = { namespace, limit: PAGE };
  for (const name of FILTERS) asked[name] = query.get(name) ?? undefined;
  const key = JSON.stringify(asked);
  return (
    <>
      <h1 tabIndex={-1}>Audit</h1>
      <p class="lead">Who was given which key, and who changed what; the newest first.</p>
      <Filters key={`filters ${key}`} />
      <Rows key={`rows ${key}`} asked={asked} />
    </>
  );
}

/** The rows of one filter, and of no other: what is asked for them ends with them. */
function Rows({ asked }: { asked: Asked }) {
  const [shown, setShown] = useState<Page | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [isAsking, setAsking] = useState(false);
  const { current: stop } = useRef(new AbortController());

  const read = async (cursor: string | undefined, add: (page: Page, to: Page | null) => Page | null) => {
    try {
      const page = await get<Page>('audit', { ...asked, cursor }, stop.signal);
      if (stop.signal.aborted) return;
      setProblem(null);
      setShown((to) => add(page, to));
    } catch (error) {
      if (!stop.signal.aborted) setProblem(asProblem(error));
    }
  };
  useEffect(() => {
    const first = () => void read(undefined, withNewer);
    first();
    const timer = setInterval(() => {
      if (!document.hidden) first();
    }, EVERY_MS);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, []);

  const rows = shown?.items ?? null;
  const cursor = shown?.next_cursor ?? null;
  const older = async () => {
    if (isAsking || cursor === null) return;
    setAsking(true);
    await read(cursor, (page, to) =>
      // Rows that begin anew meanwhile do not end where these go on.
      to?.next_cursor === cursor ? { ...page, items: [...to.items, ...page.items] } : to,
    );
    setAsking(false);
  };
  return (
    <>
      {problem !== null && <AuditProblem problem={problem} />}
      {rows === null && problem === null && <p class="quiet">Reading the audit …</p>}
      {rows !== null && (
        <>
          <p role="status" class="quiet">
            {rows.length === 0 &&
              (cursor === null ? 'There is no such row.' : 'There is no such row among the newest ones.')}
          </p>
          {rows.length > 0 && (
            <Table
              caption="Rows of the audit, newest first"
              columns={COLUMNS}
              items={rows}
              id={(row) => String(row.seq)}
            />
          )}
          {cursor !== null && (
            // Not `disabled`, which would take the focus from who goes on by keyboard.
            <button type="button" class="plain-button" aria-disabled={isAsking} onClick={() => void older()}>
              Older rows
            </button>
          )}
        </>
      )}
    </>
  );
}

/** What came since stands before what is shown already. */
function withNewer(page: Page, shown: Page | null): Page {
  if (shown === null) return page;
  const newest = shown.items[0]?.seq ?? 0;
  const oldest = page.items.at(-1)?.seq ?? 0;
  // More than a page came: what is between is not known.
  if (shown.items.length > 0 && oldest > newest + 1 && page.next_cursor !== null) return page;
  return { ...shown, items: [...page.items.filter((row) => row.seq > newest), ...shown.items] };
}
