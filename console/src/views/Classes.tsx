import { post } from '../api';
import { count, counted, spaced, tokens } from '../format';
import { Conditions, Facts, Gone, ObjectHead } from '../parts/Details';
import { MarkOf } from '../parts/Mark';
import { Loaded, ProblemNote } from '../parts/Message';
import { ObjectLink, OwnName, Text, title } from '../parts/Names';
import { PassedOver, Targets } from '../parts/Resolution';
import { Table, type Column } from '../parts/Table';
import { Time } from '../parts/Time';
import { useAnswer } from '../parts/useAnswer';
import { href } from '../router';
import { LEVELS, stateOf } from '../state';
import { byId, classes, endpoints, models } from '../store';
import type { Answer, ClassNeed, Considered, ModelClass } from '../types';

const PREFERRED: Record<ModelClass['prefer'], string> = {
  order: 'named first',
  price: 'the cheapest',
  score: 'the best score',
  context: 'the largest window',
};

/** A model of the class's namespace, by its name. */
function ModelNamed({ row, name }: { row: ModelClass; name: string }) {
  const found = models.value.find((one) => one.namespace === row.namespace && one.name === name);
  return found === undefined ? <Text of={name} /> : <ObjectLink kind="LlmModel" row={found} />;
}

function EndpointNamed({ row, name }: { row: ModelClass; name: string }) {
  const found = endpoints.value.find((one) => one.namespace === row.namespace && one.name === name);
  return found === undefined ? <Text of={name} /> : <ObjectLink kind="LlmEndpoint" row={found} />;
}

/** The call that prices are compared for, in words. */
function callOf({ prompt_tokens: prompt, cached_tokens: cached, output_tokens: output }: ClassNeed) {
  const held = cached === null ? '' : ` (${tokens(cached)} cached)`;
  const parts = [
    prompt === null ? null : `${tokens(prompt)} tokens of prompt${held}`,
    output === null ? null : `${tokens(output)} tokens of answer`,
  ].filter((one) => one !== null);
  return parts.length === 0 ? null : `prices of a call with ${parts.join(' and ')}`;
}

/** What a model must be, in words. */
function needOf(row: ModelClass): string[] {
  const { need } = row;
  if (need === null) return [];
  const said: (string | null)[] = [
    ...need.capabilities.map(spaced),
    need.min_score === null ? null : `score ${need.min_score} of 5 in each`,
    need.min_context_window === null ? null : `window of ${tokens(need.min_context_window)}`,
    need.min_output_tokens === null ? null : `answers of ${tokens(need.min_output_tokens)}`,
    need.max_input_price === null ? null : `input at most ${need.max_input_price} ${need.currency ?? ''}`,
    need.max_output_price === null ? null : `output at most ${need.max_output_price} ${need.currency ?? ''}`,
    need.max_input_price === null && need.max_output_price === null && need.currency !== null
      ? `prices in ${need.currency}`
      : null,
    need.provider_types.length === 0 ? null : `at ${need.provider_types.join(' or ')}`,
    need.regions.length === 0 ? null : `in ${need.regions.join(' or ')}`,
    ...Object.entries(need.selector).map(([name, value]) => `label ${name}=${value}`),
    need.exclude.length === 0 ? null : `not ${need.exclude.join(', ')}`,
    need.input_modalities.length === 0 ? null : `takes ${need.input_modalities.join(' and ')}`,
    need.output_modalities.length === 0 ? null : `gives ${need.output_modalities.join(' and ')}`,
    need.embedding_dimensions === null ? null : `vectors of ${count(need.embedding_dimensions)} numbers`,
    need.recommended_for.length === 0 ? null : `recommended for ${need.recommended_for.join(' and ')}`,
    callOf(need),
  ];
  return said.filter((one) => one !== null);
}

const asksFor = (row: ModelClass): string => {
  if (row.need === null) return row.models.join(', ');
  return needOf(row).join(', ') || 'any model';
};

const COLUMNS: Column<ModelClass>[] = [
  {
    key: 'name',
    label: 'Class',
    by: (row) => title(row).toLowerCase(),
    cell: (row) => (
      <>
        <ObjectLink kind="LlmModelClass" row={row} />
        <span class="sub">
          <OwnName row={row} />
        </span>
      </>
    ),
  },
  {
    key: 'state',
    label: 'State',
    width: 9,
    by: (row) => LEVELS.indexOf(stateOf('LlmModelClass', row).level),
    cell: (row) => (
      <>
        <MarkOf kind="LlmModelClass" row={row} />
        <span class="sub">
          <Time at={stateOf('LlmModelClass', row).since} />
        </span>
      </>
    ),
  },
  {
    key: 'now',
    label: 'Means now',
    width: 16,
    by: (row) => row.current?.model ?? null,
    cell: (row) =>
      row.current === null ? (
        <span class="quiet">no model</span>
      ) : (
        <>
          <ModelNamed row={row} name={row.current.model} />
          <span class="sub">
            first at <Text of={row.current.endpoint} />
          </span>
        </>
      ),
  },
  {
    key: 'asks',
    label: 'Asks for',
    wide: true,
    cell: (row) => (
      <span class="clamp" title={asksFor(row)}>
        <Text of={asksFor(row)} />
      </span>
    ),
  },
  {
    key: 'prefers',
    label: 'Of several',
    width: 10,
    wide: true,
    by: (row) => row.prefer,
    cell: (row) => <span class="quiet">{PREFERRED[row.prefer]}</span>,
  },
  {
    key: 'candidates',
    label: 'Candidates',
    width: 7.5,
    numeric: true,
    wide: true,
    by: (row) => row.candidates,
    cell: (row) => count(row.candidates),
  },
];

export function Classes() {
  const all = classes.value;
  return (
    <>
      <h1 tabIndex={-1}>Classes</h1>
      <p class="lead">Names that agents ask for, and the model that each means now.</p>
      <Loaded>
        <p role="status" class="quiet">
          {all.length === 0 ? 'No class is declared here.' : counted(all.length, 'class', 'classes')}
        </p>
        {all.length > 0 && (
          <Table
            caption="Classes, and the model that each means now"
            columns={COLUMNS}
            items={all}
            id={(row) => row.id}
            sortedBy="name"
          />
        )}
      </Loaded>
    </>
  );
}

export function ClassPage({ id }: { id: string }) {
  const row = byId.value.LlmModelClass.get(id);
  return <Loaded>{row === undefined ? <Gone noun="class" /> : <Page row={row} />}</Loaded>;
}

/** What an agent of its namespace gets for its name, and why not another model. */
function Now({ row }: { row: ModelClass }) {
  // It may mean another model once its row is another.
  const { answer, problem } = useAnswer(`${row.id} ${row.updated_at}`, (signal) =>
    post<Answer>('resolve', { namespace: row.namespace }, { class: row.name }, signal),
  );
  const considered = problem?.body.considered;
  return (
    <>
      <section aria-labelledby="targets">
        <h2 id="targets">Targets</h2>
        {answer === null && problem === null && <p class="quiet">Asking …</p>}
        {problem !== null && <ProblemNote problem={problem} />}
        {answer !== null && (
          <>
            <p>What an agent gets, to be tried in this order:</p>
            <Targets answer={answer} />
          </>
        )}
      </section>
      {answer !== null && <PassedOver considered={answer.considered} omitted={answer.considered_omitted} />}
      {Array.isArray(considered) && (
        <PassedOver
          considered={considered as Considered[]}
          omitted={Number(problem?.body.considered_omitted ?? 0)}
        />
      )}
    </>
  );
}

function Page({ row }: { row: ModelClass }) {
  const need = needOf(row);
  return (
    <>
      <ObjectHead kind="LlmModelClass" row={row}>
        {counted(row.candidates, 'candidate')}
      </ObjectHead>
      <Facts
        of={[
          [
            'Means now',
            row.current === null ? 'no model' : <ModelNamed key="now" row={row} name={row.current.model} />,
          ],
          [
            'Tried first',
            row.current === null ? null : <EndpointNamed key="at" row={row} name={row.current.endpoint} />,
          ],
          ['Of several', PREFERRED[row.prefer]],
          ['Deprecated models', row.allow_deprecated ? 'too' : 'not'],
          ['Description', row.description === null ? null : <Text key="text" of={row.description} />],
        ]}
      />
      <section aria-labelledby="asks">
        <h2 id="asks">Asks for</h2>
        {row.need === null ? (
          <ol class="named-models">
            {row.models.map((name) => (
              <li key={name}>
                <ModelNamed row={row} name={name} />
              </li>
            ))}
          </ol>
        ) : need.length === 0 ? (
          <p>Any model.</p>
        ) : (
          <ul class="capabilities">
            {need.map((one) => (
              <li key={one}>
                <Text of={one} />
              </li>
            ))}
          </ul>
        )}
      </section>
      <Now key={row.id} row={row} />
      <p>
        <a href={href('resolve', undefined, { class: row.name, namespace: row.namespace })}>
          Resolve it as an agent would
        </a>
      </p>
      <Conditions of={row.conditions} />
    </>
  );
}
