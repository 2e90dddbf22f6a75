import { href, route } from '../router';
import { byId } from '../store';
import type { Kind, Row } from '../types';

export const VIEW_OF: Record<Kind, string> = {
  LlmProvider: 'providers',
  LlmEndpoint: 'endpoints',
  LlmCredential: 'keys',
  LlmModel: 'models',
  LlmModelClass: 'classes',
};

export const NOUN_OF: Record<Kind, string> = {
  LlmProvider: 'provider',
  LlmEndpoint: 'endpoint',
  LlmCredential: 'key',
  LlmModel: 'model',
  LlmModelClass: 'class',
};

export const NOUNS_OF: Record<Kind, string> = {
  LlmProvider: 'providers',
  LlmEndpoint: 'endpoints',
  LlmCredential: 'keys',
  LlmModel: 'models',
  LlmModelClass: 'classes',
};

/** What a person calls it. */
export function title(row: Row & { display_name?: string | null; alias?: string | null }): string {
  return row.display_name ?? row.alias ?? row.name;
}

/** A text of somebody's, whichever way its script runs. */
export function Text({ of }: { of: string }) {
  return <bdi>{of}</bdi>;
}

/** An object's own name, with its namespace where several are looked at. */
export function OwnName({ row }: { row: Row }) {
  const all = route.value.query.get('namespace') === '*';
  return (
    <span class="own-name">
      <Text of={all ? `${row.namespace}/${row.name}` : row.name} />
    </span>
  );
}

export function ObjectLink({ kind, row }: { kind: Kind; row: Row }) {
  return (
    <a href={href(VIEW_OF[kind], row.id)}>
      <Text of={title(row)} />
    </a>
  );
}

/** The endpoints of a list that are there. */
export function EndpointLinks({ ids }: { ids: string[] }) {
  const at = ids.map((id) => byId.value.LlmEndpoint.get(id)).filter((one) => one !== undefined);
  return at.map((one, place) => (
    <span key={one.id}>
      {place > 0 && ', '}
      <ObjectLink kind="LlmEndpoint" row={one} />
    </span>
  ));
}

export function ProviderLink({ id }: { id: string }) {
  const provider = byId.value.LlmProvider.get(id);
  return provider === undefined ? (
    <span class="quiet">–</span>
  ) : (
    <ObjectLink kind="LlmProvider" row={provider} />
  );
}
