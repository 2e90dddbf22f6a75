// What `POST /resolve` answers: where a model is called, and why the others are not the answer.

import { counted } from '../format';
import { href } from '../router';
import { stateOf } from '../state';
import type { Answer, Considered, Target } from '../types';
import { Mark } from './Mark';
import { Text } from './Names';
import { Table, type Column } from './Table';

/** Reasons of the API, in words (docs/api.md). */
const REASONS: Record<string, string> = {
  Excluded: 'the request excludes it',
  Inactive: 'it, or its provider, is switched off',
  NotFound: 'there is no such model',
  Retired: 'its vendor has ended it',
  UnderMaintenance: 'it is under maintenance',
  Deprecated: 'it is deprecated, and that was not allowed',
  ProviderTypeMismatch: 'its provider is of another type',
  SelectorMismatch: 'it lacks a label',
  NotRecommended: 'it is not recommended for this task',
  CapabilityMissing: 'it cannot do all that is asked for',
  ModalityMissing: 'it does not take, or give, all of these forms',
  EmbeddingDimensionsMismatch: 'its vectors are of another length',
  ScoreUnknown: 'nobody said how well it does this',
  ScoreTooLow: 'it scores less',
  ContextWindowUnknown: 'its window is not known',
  ContextWindowTooSmall: 'its window is smaller',
  OutputTokensUnknown: 'how long its answers may be is not known',
  OutputTokensTooFew: 'its answers are shorter',
  CurrencyMismatch: 'its prices are in another currency',
  PriceUnknown: 'its price is not known',
  PriceTooHigh: 'it costs more',
  Unavailable: 'the vendor does not offer it, or not to this account',
  NoEndpoint: 'no active endpoint serves it',
  RegionMismatch: 'it is served in none of these regions',
  NoCredential: 'no key fits it',
  EndpointsUnhealthy: 'none of its endpoints answers',
  LessPreferred: 'it would do; another comes first',
  Ambiguous: 'the name may mean it, and others',
};

const KEY_REASONS: Record<string, string> = {
  NoCredential: 'there is none, or you may not list any',
  NotForEndpoint: 'the keys are for other endpoints',
  NoKey: 'none was taken from its Secret',
  HostNotAllowed: 'its owner does not allow this host',
  Inactive: 'it is switched off',
  Expired: 'it has expired',
  Invalid: 'the vendor refuses it',
  QuotaExhausted: 'its quota is used up',
};

/** A literal of Python. */
function python(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `[${value.map(python).join(', ')}]`;
  if (typeof value === 'object') {
    const pairs = Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${python(one)}`);
    return `{${pairs.join(', ')}}`;
  }
  return JSON.stringify(value);
}

function code({ langchain }: Target): string {
  const lines = Object.entries(langchain.kwargs).map(([name, value]) => `    ${name}=${python(value)},`);
  return [
    'init_chat_model(',
    `    ${python(langchain.model)},`,
    `    model_provider=${python(langchain.model_provider)},`,
    ...lines,
    ')',
  ].join('\n');
}

function TargetItem({ target, place, model }: { target: Target; place: number; model: string | null }) {
  const { endpoint, credential } = target;
  const why = target.credential_reason ?? '';
  return (
    <li class="target">
      <p class="target-title">
        <span class="place">{place + 1}</span>
        <a href={href('endpoints', endpoint.id, { namespace: endpoint.namespace })}>
          <Text of={endpoint.display_name ?? endpoint.name} />
        </a>
        <Mark state={stateOf('LlmEndpoint', endpoint)} />
        {endpoint.region !== null && <span class="quiet">{endpoint.region}</span>}
        {model !== null && (
          <span>
            model <Text of={model} />
          </span>
        )}
      </p>
      <p class="own-name">
        <Text of={endpoint.base_url} />
      </p>
      {credential === null ? (
        <p>
          Without a key: {target.exchange === null ? (KEY_REASONS[why] ?? why) : 'it exchanges its own token'}
        </p>
      ) : (
        <p>
          With the key{' '}
          <a href={href('keys', credential.id, { namespace: credential.namespace })}>
            <Text of={credential.alias ?? credential.name} />
          </a>{' '}
          {credential.masked_key !== null && <code>{credential.masked_key}</code>}
        </p>
      )}
      <details>
        <summary>In LangChain</summary>
        <pre tabIndex={0}>{code(target)}</pre>
      </details>
    </li>
  );
}

/** Where an answer is called, in the order of trying. */
export function Targets({ answer }: { answer: Answer }) {
  const several = answer.targets.some((target) => target.model !== answer.model.name);
  return (
    <ol class="targets">
      {answer.targets.map((target, place) => (
        <TargetItem
          key={`${target.model} ${target.endpoint.id}`}
          target={target}
          place={place}
          model={several ? target.model : null}
        />
      ))}
    </ol>
  );
}

const CONSIDERED: Column<Considered>[] = [
  {
    key: 'model',
    label: 'Model',
    by: (one) => one.model,
    cell: (one) => (
      <>
        <Text of={one.model} />
        <span class="sub">
          <Text of={one.namespace} />
        </span>
      </>
    ),
  },
  {
    key: 'why',
    label: 'Why not',
    by: (one) => one.reason,
    cell: (one) => (
      <>
        {REASONS[one.reason] ?? one.reason}
        <span class="sub">
          {one.reason}
          {one.detail !== null && (
            <>
              : <Text of={one.detail} />
            </>
          )}
        </span>
      </>
    ),
  },
];

export function PassedOver({ considered, omitted }: { considered: Considered[]; omitted: number }) {
  return (
    <section aria-labelledby="considered">
      <h2 id="considered">Passed over</h2>
      {considered.length === 0 ? (
        <p class="quiet">No other model was looked at.</p>
      ) : (
        <Table
          caption="Models that were passed over, those first that came nearest"
          columns={CONSIDERED}
          items={considered}
          id={(one) => `${one.namespace}/${one.model}`}
          sortKey="considered-sort"
        />
      )}
      {omitted > 0 && <p class="quiet">And {counted(omitted, 'more model')} that came less near.</p>}
    </section>
  );
}
