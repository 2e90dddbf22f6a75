import { milliseconds } from '../format';
import { Conditions, Facts, Gone, ObjectHead } from '../parts/Details';
import { Mark, MarkOf } from '../parts/Mark';
import { Loaded, ProblemNote } from '../parts/Message';
import { ObjectLink, ProviderLink, Text, title } from '../parts/Names';
import { inWords, LatencyPlot, Sparkline, summary } from '../parts/Plot';
import { Table, type Column } from '../parts/Table';
import { Stamp, Time } from '../parts/Time';
import { useProbes } from '../parts/useProbes';
import { LEVELS, stateOf } from '../state';
import { byId, endpoints, providerName } from '../store';
import type { Endpoint, Probe } from '../types';

function Latency({ endpoint }: { endpoint: Endpoint }) {
  const { probes, problem } = useProbes(endpoint, 60);
  if (problem !== null) return <span class="quiet">not readable</span>;
  if (probes === null) return <span class="quiet">…</span>;
  if (probes.length === 0) return <span class="quiet">not probed</span>;
  const { median } = summary(probes);
  return (
    <span class="latency">
      <Sparkline probes={probes} />
      <span class="latency-number">{median === null ? '–' : milliseconds(median)}</span>
    </span>
  );
}

const COLUMNS: Column<Endpoint>[] = [
  {
    key: 'name',
    label: 'Endpoint',
    by: (row) => title(row).toLowerCase(),
    cell: (row) => (
      <>
        <ObjectLink kind="LlmEndpoint" row={row} />
        <span class="sub" title={row.base_url}>
          <Text of={row.base_url} />
        </span>
      </>
    ),
  },
  {
    key: 'provider',
    label: 'Provider',
    width: 10,
    wide: true,
    by: (row) => providerName(row.provider_id).toLowerCase(),
    cell: (row) => (
      <>
        <ProviderLink id={row.provider_id} />
        <span class="sub">{row.region ?? ''}</span>
      </>
    ),
  },
  {
    key: 'order',
    label: 'Tried',
    width: 7.5,
    wide: true,
    by: (row) => (row.is_default ? -1 : row.priority),
    cell: (row) => (row.is_default ? 'first' : <span class="quiet">priority {row.priority}</span>),
  },
  {
    key: 'state',
    label: 'State',
    width: 9,
    by: (row) => LEVELS.indexOf(stateOf('LlmEndpoint', row).level),
    cell: (row) => (
      <>
        <MarkOf kind="LlmEndpoint" row={row} />
        <span class="sub">
          <Time at={stateOf('LlmEndpoint', row).since} />
        </span>
      </>
    ),
  },
  {
    key: 'latency',
    label: 'Latency, last 60 probes',
    width: 13,
    wide: true,
    cell: (row) => <Latency endpoint={row} />,
  },
];

export function Endpoints() {
  return (
    <>
      <h1 tabIndex={-1}>Endpoints</h1>
      <Loaded>
        <p role="status" class="quiet">
          {endpoints.value.length === 0 && 'No endpoint is declared here.'}
        </p>
        {endpoints.value.length > 0 && (
          <Table
            caption="Endpoints, whether they answer and how fast"
            columns={COLUMNS}
            items={endpoints.value}
            id={(row) => row.id}
            sortedBy="state"
          />
        )}
      </Loaded>
    </>
  );
}

const PROBES: Column<Probe>[] = [
  { key: 'at', label: 'Probe', width: 8, cell: (probe) => <Stamp at={probe.checked_at} /> },
  {
    key: 'result',
    label: 'Result',
    width: 9,
    cell: (probe) =>
      probe.success === null ? (
        <Mark state={{ level: 'waiting', word: 'Proved nothing' }} />
      ) : (
        <Mark state={probe.success ? { level: 'good', word: 'Passed' } : { level: 'bad', word: 'Failed' }} />
      ),
  },
  { key: 'took', label: 'Took', width: 6, numeric: true, cell: (probe) => milliseconds(probe.latency_ms) },
  {
    key: 'said',
    label: 'Found',
    wide: true,
    cell: (probe) => (
      <>
        {probe.reason}
        {probe.http_status !== null && `, HTTP ${probe.http_status}`}
        <span class="sub" title={probe.message}>
          <Text of={probe.message} />
        </span>
      </>
    ),
  },
];

function Probes({ endpoint }: { endpoint: Endpoint }) {
  const { probes, problem } = useProbes(endpoint, 500);
  if (problem !== null) return <ProblemNote problem={problem} />;
  if (probes === null) return <p class="quiet">Reading the probes …</p>;
  return (
    <>
      <section aria-labelledby="latency">
        <h2 id="latency">Latency</h2>
        <p>{inWords(summary(probes))}</p>
        <LatencyPlot probes={probes} />
      </section>
      {probes.length > 0 && (
        <section aria-labelledby="probes">
          <h2 id="probes">Probes</h2>
          <Table
            caption="Probes, newest first"
            columns={PROBES}
            items={probes}
            id={(probe) => probe.checked_at}
            sortKey="probe-sort"
          />
        </section>
      )}
    </>
  );
}

export function EndpointPage({ id }: { id: string }) {
  const row = byId.value.LlmEndpoint.get(id);
  return <Loaded>{row === undefined ? <Gone noun="endpoint" /> : <Page row={row} />}</Loaded>;
}

function Page({ row }: { row: Endpoint }) {
  const { count, interval } = { count: row.retry_count, interval: row.retry_interval_ms };
  return (
    <>
      <ObjectHead kind="LlmEndpoint" row={row}>
        of <ProviderLink id={row.provider_id} />
      </ObjectHead>
      <Facts
        of={[
          ['Base URL', <Text key="url" of={row.base_url} />],
          ['Region', row.region],
          ['API version', row.api_version],
          ['Tried', row.is_default ? 'first' : `by priority ${row.priority}`],
          ['Clients wait', `${row.timeout_connect} s for a connection, ${row.timeout_read} s for an answer`],
          ['Clients retry', count === 0 ? 'never' : `${count} times, ${interval} ms apart`],
        ]}
      />
      <Probes key={row.id} endpoint={row} />
      <Conditions of={row.conditions} />
    </>
  );
}
