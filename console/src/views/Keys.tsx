import type { ComponentChildren } from 'preact';
import { get } from '../api';
import { count, now } from '../format';
import { Conditions, Facts, Gone, ObjectHead } from '../parts/Details';
import { Mark, MarkOf } from '../parts/Mark';
import { AuditProblem, Loaded } from '../parts/Message';
import { EndpointLinks, ObjectLink, OwnName, ProviderLink, Text, title } from '../parts/Names';
import { Table, type Column } from '../parts/Table';
import { Time } from '../parts/Time';
import { useAnswer } from '../parts/useAnswer';
import { LEVELS, stateOf } from '../state';
import { byId, credentials, providerName } from '../store';
import { EXCHANGERS, type Credential, type Federation, type Holder, type KeyVersion } from '../types';

const WEEK_MS = 7 * 24 * 3600_000;

function Expiry({ row }: { row: Credential }) {
  if (row.expires_at === null) return <span class="quiet">no end set</span>;
  const left = Date.parse(row.expires_at) - now.value;
  const level = left <= 0 ? 'bad' : left < WEEK_MS ? 'notice' : null;
  const word = <Time at={row.expires_at} />;
  return level === null ? word : <strong class={`ink ${level}`}>{word}</strong>;
}

/** Who exchanges the tokens, and the ids of the agreement. */
function exchangeOf(federation: Federation): { by: string; ids: [string, unknown][] } {
  for (const [field, name] of Object.entries(EXCHANGERS)) {
    const ids = federation[field as keyof typeof EXCHANGERS];
    if (ids) return { by: name, ids: Object.entries(ids) };
  }
  return { by: 'a vendor that this page does not know', ids: [] };
}

function agreement(federation: Federation): [string, ComponentChildren][] {
  const { by, ids } = exchangeOf(federation);
  const text = (value: string) => <Text key={value} of={value} />;
  return [
    ['Exchanged by', by],
    ['ServiceAccount', text(federation.service_account_ref.name)],
    ['Audience', text(federation.audience)],
    ...ids
      .filter(([, value]) => typeof value === 'string')
      .map(([id, value]): [string, ComponentChildren] => [id, text(String(value))]),
  ];
}

function quota(row: Credential): string | null {
  if (row.quota_limit === null) return null;
  return `${count(row.quota_limit)} ${(row.quota_unit ?? '').toLowerCase()} a ${(row.quota_period ?? '').toLowerCase()}`;
}

const COLUMNS: Column<Credential>[] = [
  {
    key: 'name',
    label: 'Key',
    by: (row) => title(row).toLowerCase(),
    cell: (row) => (
      <>
        <ObjectLink kind="LlmCredential" row={row} />
        <span class="sub">
          <OwnName row={row} /> {row.federation !== null && <>keyless, by {exchangeOf(row.federation).by}</>}
          {row.federation === null && row.masked_key !== null && <code>{row.masked_key}</code>}
        </span>
      </>
    ),
  },
  {
    key: 'provider',
    label: 'Provider',
    width: 11,
    wide: true,
    by: (row) => providerName(row.provider_id).toLowerCase(),
    cell: (row) => <ProviderLink id={row.provider_id} />,
  },
  {
    key: 'state',
    label: 'State',
    width: 9,
    by: (row) => LEVELS.indexOf(stateOf('LlmCredential', row).level),
    cell: (row) => (
      <>
        <MarkOf kind="LlmCredential" row={row} />
        <span class="sub">
          <Time at={stateOf('LlmCredential', row).since} />
        </span>
      </>
    ),
  },
  {
    key: 'expires',
    label: 'Expires',
    width: 9,
    by: (row) => (row.expires_at === null ? null : Date.parse(row.expires_at)),
    cell: (row) => <Expiry row={row} />,
  },
  {
    key: 'version',
    label: 'Version',
    width: 9,
    wide: true,
    by: (row) => row.version,
    cell: (row) => (
      <>
        {row.version ?? '–'}
        <span class="sub">{row.versions[0] !== undefined && <Time at={row.versions[0].since} />}</span>
      </>
    ),
  },
  {
    key: 'priority',
    label: 'Priority',
    width: 6,
    numeric: true,
    wide: true,
    by: (row) => row.priority,
    cell: (row) => row.priority,
  },
];

export function Keys() {
  return (
    <>
      <h1 tabIndex={-1}>Keys</h1>
      <p class="lead">What is known of each key; the keys themselves never come to this page.</p>
      <Loaded>
        <p role="status" class="quiet">
          {credentials.value.length === 0 && 'No key is declared here.'}
        </p>
        {credentials.value.length > 0 && (
          <Table
            caption="Keys by expiry, validity and version"
            columns={COLUMNS}
            items={credentials.value}
            id={(row) => row.id}
            sortedBy="expires"
          />
        )}
      </Loaded>
    </>
  );
}

const VERSION_LEVEL: Record<string, 'good' | 'waiting' | 'notice' | 'off'> = {
  Current: 'good',
  Pending: 'waiting',
  Previous: 'notice',
  Destroyed: 'off',
};

const NO_KEY = 'None: no key was taken from its Secret yet.';
const NO_TOKEN = 'None: no token was exchanged yet.';

function Versions({ of, none }: { of: KeyVersion[]; none: string }) {
  return (
    <section aria-labelledby="versions">
      <h2 id="versions">Versions</h2>
      {of.length === 0 ? (
        <p class="quiet">{none}</p>
      ) : (
        <table class="plain">
          <caption class="unseen">Versions of the key, newest first</caption>
          <thead>
            <tr>
              <th scope="col">Version</th>
              <th scope="col">State</th>
              <th scope="col">Since</th>
              <th scope="col">Fingerprint</th>
            </tr>
          </thead>
          <tbody>
            {of.map((one) => (
              <tr key={one.version}>
                <th scope="row">{one.version}</th>
                <td>
                  <Mark state={{ level: VERSION_LEVEL[one.state] ?? 'waiting', word: one.state }} />
                </td>
                <td>
                  <Time at={one.since} />
                </td>
                <td>
                  <code>{one.fingerprint.slice(0, 16)}</code>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

interface Holders {
  items: Holder[];
  is_partial: boolean;
}

function HolderList({ row }: { row: Credential }) {
  // A new version, or a new verdict, may have new holders.
  const { answer: found, problem } = useAnswer(`${row.id} ${row.updated_at}`, (signal) =>
    get<Holders>(`credentials/${row.id}/holders`, { namespace: row.namespace }, signal),
  );
  const columns: Column<Holder>[] = [
    {
      key: 'actor',
      label: 'Holder',
      by: (holder) => holder.actor,
      cell: (holder) => (
        <>
          <Text of={holder.actor} />
          <span class="sub">
            {holder.pod !== null && <Text of={`pod ${holder.pod} on ${holder.node ?? '?'}`} />}
          </span>
        </>
      ),
    },
    {
      key: 'version',
      label: 'Has version',
      width: 9,
      by: (holder) => holder.version,
      cell: (holder) => (
        <>
          {holder.version}
          <span class="sub">{holder.version === row.version ? 'the current one' : 'a former one'}</span>
        </>
      ),
    },
    {
      key: 'at',
      label: 'Given',
      width: 9,
      by: (holder) => -holder.seq,
      cell: (holder) => <Time at={holder.last_at} />,
    },
    {
      key: 'purpose',
      label: 'Purpose',
      width: 14,
      wide: true,
      cell: (holder) =>
        holder.purpose === null ? <span class="quiet">–</span> : <Text of={holder.purpose} />,
    },
  ];
  return (
    <section aria-labelledby="holders">
      <h2 id="holders">Holders</h2>
      {problem !== null && <AuditProblem problem={problem} />}
      {found?.items.length === 0 && <p class="quiet">Nobody was given this key.</p>}
      {found !== null && found.items.length > 0 && (
        <Table
          caption="Who was given which version of the key last"
          columns={columns}
          items={found.items}
          id={(holder) => `${holder.actor} ${holder.pod ?? ''} ${holder.seq}`}
          sortedBy="at"
          sortKey="holder-sort"
        />
      )}
      {found?.is_partial === true && <p class="quiet">There are more, who were given it longer ago.</p>}
    </section>
  );
}

export function KeyPage({ id }: { id: string }) {
  const row = byId.value.LlmCredential.get(id);
  return <Loaded>{row === undefined ? <Gone noun="key" /> : <Page row={row} />}</Loaded>;
}

function Page({ row }: { row: Credential }) {
  return (
    <>
      <ObjectHead kind="LlmCredential" row={row}>
        of <ProviderLink id={row.provider_id} />
      </ObjectHead>
      <Facts
        of={[
          ['Masked', row.masked_key === null ? null : <code key="masked">{row.masked_key}</code>],
          ...(row.federation === null ? [] : agreement(row.federation)),
          ['Description', row.description === null ? null : <Text key="text" of={row.description} />],
          ['Expires', <Expiry key="ends" row={row} />],
          ['Priority', String(row.priority)],
          ['Quota', quota(row)],
          [
            'For',
            row.endpoint_ids.length === 0 ? (
              'all endpoints of its provider'
            ) : (
              <EndpointLinks key="endpoints" ids={row.endpoint_ids} />
            ),
          ],
        ]}
      />
      {row.federation !== null && (
        <p class="quiet">
          There is no key: the vendor exchanges a token of the ServiceAccount for one of its own, which ends
          by itself.
        </p>
      )}
      <Versions of={row.versions} none={row.federation === null ? NO_KEY : NO_TOKEN} />
      <HolderList key={row.id} row={row} />
      <Conditions of={row.conditions} />
    </>
  );
}
