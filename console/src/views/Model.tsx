import { endOf } from '../end';
import { count, spaced, tokens } from '../format';
import { Conditions, Facts, Gone, ObjectHead } from '../parts/Details';
import { Loaded } from '../parts/Message';
import { EndpointLinks, ObjectLink, ProviderLink, Text } from '../parts/Names';
import { Time } from '../parts/Time';
import { href } from '../router';
import { byId, models } from '../store';
import type { Limit, Model, TokenPrices } from '../types';

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
  const ends = endOf(row);
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
            row.endpoint_ids.length === 0 ? (
              'all endpoints of its provider'
            ) : (
              <EndpointLinks key="endpoints" ids={row.endpoint_ids} />
            ),
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
