import { useMemo } from 'preact/hooks';

import { ENDS, endOf } from '../end';
import { count, counted, now, spaced, tokens } from '../format';
import { MarkOf } from '../parts/Mark';
import { Loaded } from '../parts/Message';
import { ObjectLink, Text, title } from '../parts/Names';
import { Table, type Column } from '../parts/Table';
import { Time } from '../parts/Time';
import { choose, route } from '../router';
import { LEVELS, stateOf } from '../state';
import { models, providerName, providers } from '../store';
import type { Model } from '../types';

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
    width: 9.25,
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
    width: 7.5,
    wide: true,
    by: (row) => endOf(row)?.order ?? null,
    cell: (row) => {
      const ends = endOf(row);
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
  /** One of ENDS; all where it is none of them. */
  end: string;
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
    end: query.get('end') ?? '',
  };
}

/** What is not known passes no bound, as in the API. */
function passes(
  row: Model,
  { text, provider, state, can, window, price: most, currency: code, end: ends }: Filter,
  at: number,
): boolean {
  const called = [row.name, row.model_id, row.display_name ?? '', row.namespace];
  if (text !== '' && !called.some((name) => name.toLowerCase().includes(text))) return false;
  if (provider !== '' && row.provider_id !== provider) return false;
  if (state !== '' && stateOf('LlmModel', row).level !== state) return false;
  if (window > 0 && (row.context_window === null || row.context_window < window)) return false;
  if (code !== '' && row.currency !== code) return false;
  if (most !== null && (row.input_price === null || Number(row.input_price) > most)) return false;
  if (ENDS.get(ends)?.holds(endOf(row), at) === false) return false;
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
        <label>
          End
          <select value={filter.end} onChange={(event) => choose({ end: value(event) })}>
            <option value="">any</option>
            {[...ENDS].map(([name, { label }]) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
          </select>
        </label>
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
  const shown = useMemo(
    () => all.filter((row) => passes(row, filter, now.value)),
    [all, filter, filter.end === '' ? 0 : now.value],
  );
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
                  end: null,
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
