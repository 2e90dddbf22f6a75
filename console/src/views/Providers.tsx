import { Conditions, Facts, Gone, ObjectHead } from '../parts/Details';
import { MarkOf } from '../parts/Mark';
import { Loaded } from '../parts/Message';
import { ObjectLink, OwnName, Text, title } from '../parts/Names';
import { Table, type Column } from '../parts/Table';
import { Time } from '../parts/Time';
import { LEVELS, stateOf } from '../state';
import { byId, families, NO_FAMILY } from '../store';
import type { Kind, Provider, Row } from '../types';

function columns<Item extends Row>(kind: Kind, label: string): Column<Item>[] {
  return [
    {
      key: 'name',
      label,
      by: (row) => title(row).toLowerCase(),
      cell: (row) => (
        <>
          <ObjectLink kind={kind} row={row} />
          <span class="sub">
            <OwnName row={row} />
          </span>
        </>
      ),
    },
    {
      key: 'state',
      label: 'State',
      width: 10,
      by: (row) => LEVELS.indexOf(stateOf(kind, row).level),
      cell: (row) => (
        <>
          <MarkOf kind={kind} row={row} />
          <span class="sub">
            <Time at={stateOf(kind, row).since} />
          </span>
        </>
      ),
    },
    {
      key: 'why',
      label: 'Why',
      wide: true,
      by: (row) => stateOf(kind, row).reason,
      cell: (row) => (
        <>
          {stateOf(kind, row).reason}
          <span class="sub" title={stateOf(kind, row).message}>
            <Text of={stateOf(kind, row).message} />
          </span>
        </>
      ),
    },
  ];
}

function Part({ kind, label, rows }: { kind: Kind; label: string; rows: Row[] }) {
  return (
    <section aria-labelledby={`part-${kind}`}>
      <h2 id={`part-${kind}`}>{label}s</h2>
      {rows.length === 0 ? (
        <p class="quiet">None.</p>
      ) : (
        <Table
          caption={`${label}s of this provider`}
          columns={columns(kind, label)}
          items={rows}
          id={(row) => row.id}
          sortedBy="state"
          sortKey={`${label.toLowerCase()}-sort`}
        />
      )}
    </section>
  );
}

export function ProviderPage({ id }: { id: string }) {
  const row = byId.value.LlmProvider.get(id);
  return <Loaded>{row === undefined ? <Gone noun="provider" /> : <Page row={row} />}</Loaded>;
}

function Page({ row }: { row: Provider }) {
  const family = families.value.get(row.id) ?? NO_FAMILY;
  return (
    <>
      <ObjectHead kind="LlmProvider" row={row}>
        {row.type}
      </ObjectHead>
      <Facts
        of={[['Description', row.description === null ? null : <Text key="text" of={row.description} />]]}
      />
      <Part kind="LlmEndpoint" label="Endpoint" rows={family.endpoints} />
      <Part kind="LlmCredential" label="Key" rows={family.credentials} />
      <Part kind="LlmModel" label="Model" rows={family.models} />
      <Conditions of={row.conditions} />
    </>
  );
}
