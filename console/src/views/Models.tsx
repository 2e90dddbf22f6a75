import { useMemo } from 'preact/hooks';

import { count, counted, tokens } from '../format';
import { Conditions, Facts, Gone, ObjectHead } from '../parts/Details';
import { MarkOf } from '../parts/Mark';
import { Loaded } from '../parts/Message';
import { ObjectLink, ProviderLink, Text, title } from '../parts/Names';
import { Table, type Column } from '../parts/Table';
import { Time } from '../parts/Time';
import { choose, href, route } from '../router';
import { LEVELS, stateOf } from '../state';
import { byId, models, providerName, providers } from '../store';
import type { Limit, Model, TokenPrices } from '../types';

export const CAPABILITIES = [
  'TextGeneration',
  'Chat',
  'CodeGeneration',
  'FunctionCalling',
  'Vision',
  'Embedding',
  'StructuredOutput',
  'Streaming',
  'Reasoning',
  'PdfInput',
  'AudioInput',
  'PromptCaching',
  'WebSearch',
];

/** `FunctionCalling` as people write it. */
export const spaced = (word: string): string =>
  word
    .replace(/(?<=[a-z])(?=[A-Z])/g, ' ')
    .replace(/(?<= )[A-Z](?=[a-z])/g, (letter) => letter.toLowerCase());

const WINDOWS: [string, string][] = [
  ['', 'any'],
  ['8000', '8k'],
  ['32000', '32k'],
  ['128000', '128k'],
  ['200000', '200k'],
  ['1000000', '1M'],
];

function amount(value: string | null, currency: string | null) {
  if (value === null) return <span class="quiet">–</span>;
  return (
    <>
      {value} <span class="quiet">{currency}</span>
    </>
  );
}

/** When it ends: as declared, or as its condition says. */
function end(row: Model): { at: string | null; word: string } | null {
  const said = row.conditions.find((one) => one.reason === 'RetiresSoon' || one.reason === 'Retired');
  if (row.retires_at !== null) return { at: row.retires_at, word: '' };
  if (said !== undefined) return { at: null, word: said.reason === 'Retired' ? 'retired' : 'soon' };
  return row.status === 'deprecated' ? { at: null, word: 'deprecated' } : null;
}

const price = (value: string | null): number | null => (value === null ? null : Number(value));
const currency = (row: Model): string => row.currency ?? '';

const COLUMNS: Column<Model>[] = [
  {
    key: 'name',
    label: 'Model',
    by: (row) => title(row).toLowerCase(),
    cell: (row) => (
      <>
        <ObjectLink kind="LlmModel" row={row} />
        <span class="sub" title={row.model_id}>
          <Text of={row.model_id} /> · <Text of={providerName(row.provider_id)} />
          {route.value.query.get('namespace') === '*' && (
            <>
              {' '}
              in <Text of={row.namespace} />
            </>
          )}
        </span>
      </>
    ),
  },
  {
    key: 'state',
    label: 'State',
    width: 8.5,
    by: (row) => LEVELS.indexOf(stateOf('LlmModel', row).level),
    cell: (row) => <MarkOf kind="LlmModel" row={row} />,
  },
  {
    key: 'can',
    label: 'Can do',
    width: 14,
    wide: true,
    by: (row) => -row.capabilities.length,
    cell: (row) => {
      const names = row.capabilities.map(
        ({ name, score }) => `${spaced(name)}${score === null ? '' : ` ${score}/5`}`,
      );
      return (
        <span class="clamp" title={names.join(', ')}>
          {names.length === 0 ? <span class="quiet">not said</span> : names.join(', ')}
        </span>
      );
    },
  },
  {
    key: 'window',
    label: 'Window',
    width: 6,
    numeric: true,
    by: (row) => row.context_window,
    cell: (row) => (
      <span title={row.context_window === null ? 'not known' : count(row.context_window)}>
        {tokens(row.context_window)}
      </span>
    ),
  },
  {
    key: 'input',
    label: 'Input',
    width: 8.5,
    numeric: true,
    wide: true,
    by: (row) => price(row.input_price),
    within: currency,
    cell: (row) => amount(row.input_price, row.currency),
  },
  {
    key: 'output',
    label: 'Output',
    width: 8.5,
    numeric: true,
    wide: true,
    by: (row) => price(row.output_price),
    within: currency,
    cell: (row) => amount(row.output_price, row.currency),
  },
  {
    key: 'end',
    label: 'End',
    width: 6.5,
    wide: true,
    by: (row) => {
      const ends = end(row);
      return ends === null ? null : ends.at === null ? 0 : Date.parse(ends.at);
    },
    cell: (row) => {
      const ends = end(row);
      if (ends === null) return <span class="quiet">–</span>;
      return ends.at === null ? ends.word : <Time at={ends.at} />;
    },
  },
];

interface Filter {
  text: string;
  provider: string;
  state: string;
  can: string[];
  window: number;
  price: number | null;
  currency: string;
}

function filterOf(query: URLSearchParams): Filter {
  const most = query.get('price') ?? '';
  return {
    text: (query.get('q') ?? '').toLowerCase(),
    provider: query.get('provider') ?? '',
    state: query.get('state') ?? '',
    can: query.getAll('can'),
    window: Number(query.get('window') ?? 0),
    price: most === '' || Number.isNaN(Number(most)) ? null : Number(most),
    currency: query.get('currency') ?? '',
  };
}

/** What is not known passes no bound, as in the API. */
function passes(
  row: Model,
  { text, provider, state, can, window, price: most, currency: code }: Filter,
): boolean {
  const called = [row.name, row.model_id, row.display_name ?? '', row.namespace];
  if (text !== '' && !called.some((name) => name.toLowerCase().includes(text))) return false;
  if (provider !== '' && row.provider_id !== provider) return false;
  if (state !== '' && stateOf('LlmModel', row).level !== state) return false;
  if (window > 0 && (row.context_window === null || row.context_window < window)) return false;
  if (code !== '' && row.currency !== code) return false;
  if (most !== null && (row.input_price === null || Number(row.input_price) > most)) return false;
  return can.every((wanted) => row.capabilities.some(({ name }) => name === wanted));
}

function Filters({ filter, currencies }: { filter: Filter; currencies: string[] }) {
  const { query } = route.value;
  const value = (event: Event) => (event.currentTarget as HTMLInputElement | HTMLSelectElement).value;
  const toggle = (name: string) => {
    const rest = filter.can.filter((one) => one !== name);
    choose({ can: rest.length === filter.can.length ? [...rest, name] : rest });
  };
  return (
    <form class="filters" role="search" aria-label="Models" onSubmit={(event) => event.preventDefault()}>
      <div class="fields">
        <label class="grow">
          Name
          <input
            type="search"
            value={query.get('q') ?? ''}
            placeholder="name, display name or the vendor's id"
            onInput={(event) => choose({ q: value(event) })}
          />
        </label>
        <label>
          Provider
          <select value={filter.provider} onChange={(event) => choose({ provider: value(event) })}>
            <option value="">any</option>
            {providers.value.map((row) => (
              <option key={row.id} value={row.id}>
                {title(row)}
              </option>
            ))}
          </select>
        </label>
        <label>
          State
          <select value={filter.state} onChange={(event) => choose({ state: value(event) })}>
            <option value="">any</option>
            <option value="good">available</option>
            <option value="notice">about to change</option>
            <option value="bad">does not work</option>
            <option value="waiting">not checked</option>
            <option value="off">off</option>
          </select>
        </label>
        <label>
          Window, at least
          <select value={query.get('window') ?? ''} onChange={(event) => choose({ window: value(event) })}>
            {WINDOWS.map(([size, word]) => (
              <option key={size} value={size}>
                {word}
              </option>
            ))}
          </select>
        </label>
        <label>
          Input price, at most
          <input
            type="text"
            inputMode="decimal"
            size={7}
            value={query.get('price') ?? ''}
            placeholder="0.01"
            aria-invalid={(query.get('price') ?? '') !== '' && filter.price === null}
            onInput={(event) => choose({ price: value(event) })}
          />
        </label>
        {currencies.length > 1 && (
          <label>
            Currency
            <select value={filter.currency} onChange={(event) => choose({ currency: value(event) })}>
              <option value="">any</option>
              {currencies.map((code) => (
                <option key={code} value={code}>
                  {code}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      <fieldset class="chips">
        <legend>Can do all of</legend>
        {CAPABILITIES.map((name) => (
          <button
            key={name}
            type="button"
            class="chip"
            aria-pressed={filter.can.includes(name)}
            onClick={() => toggle(name)}
          >
            {spaced(name)}
          </button>
        ))}
      </fieldset>
    </form>
  );
}

export function Models() {
  const all = models.value;
  const { query } = route.value;
  const key = query.toString();
  const filter = useMemo(() => filterOf(query), [key]);
  const shown = useMemo(() => all.filter((row) => passes(row, filter)), [all, filter]);
  const currencies = useMemo(
    () => [...new Set(all.flatMap((row) => (row.currency === null ? [] : [row.currency])))].sort(),
    [all],
  );
  const isFiltered = shown.length !== all.length;
  return (
    <>
      <h1 tabIndex={-1}>Models</h1>
      <Loaded>
        {all.length > 0 && <Filters filter={filter} currencies={currencies} />}
        <div class="found">
          <p role="status">
            {all.length === 0 && 'No model is declared here.'}
            {all.length > 0 &&
              (isFiltered
                ? `${count(shown.length)} of ${counted(all.length, 'model')}`
                : counted(all.length, 'model'))}
          </p>
          {isFiltered && (
            <button
              type="button"
              class="plain-button"
              onClick={() =>
                choose({
                  q: null,
                  provider: null,
                  state: null,
                  can: null,
                  window: null,
                  price: null,
                  currency: null,
                })
              }
            >
              Show all
            </button>
          )}
          <p class="quiet aside">Prices are those of 1,000 tokens.</p>
        </div>
        {shown.length > 0 && (
          <Table
            caption="Models by what they can do, window, price and end"
            columns={COLUMNS}
            items={shown}
            id={(row) => row.id}
            sortedBy="name"
          />
        )}
      </Loaded>
    </>
  );
}

const ORIGINS: Record<string, string> = {
  vendor: 'as the vendor says',
  catalog: 'from the catalog',
};

export function ModelPage({ id }: { id: string }) {
  const row = byId.value.LlmModel.get(id);
  return <Loaded>{row === undefined ? <Gone noun="model" /> : <Page row={row} />}</Loaded>;
}

const TOKEN_PRICES: [keyof TokenPrices, string][] = [
  ['input_price', 'Prompt'],
  ['output_price', 'Answer'],
  ['cache_read_price', 'Prompt, read from the cache'],
  ['cache_write_price', 'Prompt, written to the cache'],
  ['reasoning_price', 'Reasoning'],
  ['audio_input_price', 'Audio in the prompt'],
  ['audio_output_price', 'Audio in the answer'],
  ['batch_input_price', 'Prompt in a batch'],
  ['batch_output_price', 'Answer in a batch'],
];

function Prices({ row }: { row: Model }) {
  const tiers = row.price_tiers;
  const ofTokens = TOKEN_PRICES.filter(([field]) => [row, ...tiers].some((one) => one[field] !== null));
  const others: [string, string, string | null][] = [
    ['request_price', 'Each call', row.request_price],
    ['image_price', 'An image', row.image_price],
  ];
  const known = others.filter(([, , price]) => price !== null);
  const origin = ORIGINS[row.origin.input_price ?? row.origin.output_price ?? ''];
  const cell = (value: string | null) => value ?? <span class="quiet">–</span>;
  return (
    <section aria-labelledby="prices">
      <h2 id="prices">Prices</h2>
      {ofTokens.length === 0 && known.length === 0 ? (
        <p class="quiet">Not known.</p>
      ) : (
        <>
          <p class="quiet">
            In {row.currency ?? 'a currency that nobody said'}
            {ofTokens.length > 0 && '; those of tokens by the thousand'}
            {origin !== undefined && ` (${origin})`}.
          </p>
          <div class="scroll" tabIndex={0} role="region" aria-labelledby="prices">
            <table class="plain">
              <caption class="unseen">Prices of the model</caption>
              <thead>
                <tr>
                  <th scope="col">Of</th>
                  <th scope="col" class="numeric">
                    Price
                  </th>
                  {tiers.map((tier) => (
                    <th key={tier.from_input_tokens} scope="col" class="numeric">
                      Prompts from {tokens(tier.from_input_tokens)}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {ofTokens.map(([field, word]) => (
                  <tr key={field}>
                    <th scope="row">{word}</th>
                    <td class="numeric">{cell(row[field])}</td>
                    {tiers.map((tier) => (
                      <td key={tier.from_input_tokens} class="numeric">
                        {cell(tier[field])}
                      </td>
                    ))}
                  </tr>
                ))}
                {known.map(([field, word, price]) => (
                  <tr key={field}>
                    <th scope="row">{word}</th>
                    <td class="numeric">{price}</td>
                    {tiers.map((tier) => (
                      <td key={tier.from_input_tokens} class="numeric">
                        {price}
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </>
      )}
    </section>
  );
}

const UNITS: Record<Limit['unit'], string> = {
  Requests: 'requests',
  Tokens: 'tokens',
  InputTokens: 'tokens of prompt',
  OutputTokens: 'tokens of answer',
  ConcurrentRequests: 'requests at once',
};

function Limits({ row }: { row: Model }) {
  if (row.limits.length === 0) return null;
  return (
    <section aria-labelledby="limits">
      <h2 id="limits">Limits</h2>
      <ul class="capabilities">
        {row.limits.map(({ unit, limit, period }) => (
          <li key={`${unit} ${period ?? ''}`}>
            {count(limit)} {UNITS[unit]} {period !== null && `a ${period.toLowerCase()}`}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Page({ row }: { row: Model }) {
  /** A value, and where it comes from unless somebody declared it. */
  const from = (field: string, value: string | null) => {
    if (value === null) return null;
    const origin = ORIGINS[row.origin[field] ?? ''];
    return (
      <>
        {value} {origin !== undefined && <span class="quiet">({origin})</span>}
      </>
    );
  };
  const size = (field: 'context_window' | 'max_input_tokens' | 'max_output_tokens') =>
    from(field, row[field] === null ? null : `${count(row[field])} tokens`);
  const next = models.value.find(
    (one) => one.provider_id === row.provider_id && one.model_id === row.replacement_model_id,
  );
  const at = row.endpoint_ids
    .map((one) => byId.value.LlmEndpoint.get(one))
    .filter((one) => one !== undefined);
  const ends = end(row);
  return (
    <>
      <ObjectHead kind="LlmModel" row={row}>
        of <ProviderLink id={row.provider_id} />
      </ObjectHead>
      <Facts
        of={[
          ['Vendor’s id', <Text key="id" of={row.model_id} />],
          ['Version', row.version],
          ['Type', row.type],
          ['Status', row.status],
          [
            'Ends',
            ends === null ? null : ends.at === null ? ends.word : <Time key="end" at={ends.at} exact />,
          ],
          [
            'Deprecated',
            row.deprecated_at === null ? null : <Time key="deprecated" at={row.deprecated_at} exact />,
          ],
          [
            'Replaced by',
            row.replacement_model_id === null ? null : next === undefined ? (
              <Text key="next" of={row.replacement_model_id} />
            ) : (
              <ObjectLink key="next" kind="LlmModel" row={next} />
            ),
          ],
          ['Base model', row.base_model === null ? null : <Text key="base" of={row.base_model} />],
          ['Takes', row.input_modalities.join(', ')],
          ['Gives', row.output_modalities.join(', ')],
          ['Dimensions', row.embedding_dimensions === null ? null : count(row.embedding_dimensions)],
          ['Context window', size('context_window')],
          ['Prompt, at most', size('max_input_tokens')],
          ['Answer, at most', size('max_output_tokens')],
          ['Recommended for', row.recommended_for.join(', ')],
          [
            'Served by',
            row.endpoint_ids.length === 0
              ? 'all endpoints of its provider'
              : at.map((one, place) => (
                  <span key={one.id}>
                    {place > 0 && ', '}
                    <ObjectLink kind="LlmEndpoint" row={one} />
                  </span>
                )),
          ],
        ]}
      />
      <section aria-labelledby="can">
        <h2 id="can">Can do</h2>
        {row.capabilities.length === 0 ? (
          <p class="quiet">Nobody said.</p>
        ) : (
          <ul class="capabilities">
            {row.capabilities.map(({ name, score }) => (
              <li key={name}>
                {spaced(name)} <span class="quiet">{score === null ? 'not scored' : `${score} of 5`}</span>
              </li>
            ))}
          </ul>
        )}
      </section>
      <Prices row={row} />
      <Limits row={row} />
      {row.default_parameters !== null && (
        <section aria-labelledby="parameters">
          <h2 id="parameters">Default parameters</h2>
          <pre tabIndex={0}>{JSON.stringify(row.default_parameters, null, 2)}</pre>
        </section>
      )}
      <p>
        <a href={href('resolve', undefined, { model: row.name, namespace: row.namespace })}>
          Resolve it as an agent would
        </a>
      </p>
      <Conditions of={row.conditions} />
    </>
  );
}
