import { useEffect, useRef, useState } from 'preact/hooks';

import { asProblem, post, Problem, session } from '../api';
import { spaced } from '../format';
import { Note, ProblemNote } from '../parts/Message';
import { PassedOver, Targets } from '../parts/Resolution';
import { Text } from '../parts/Names';
import { choose, href, route } from '../router';
import type { Answer, Considered } from '../types';
import { CAPABILITIES } from './Models';

const TYPES = [
  'OpenAI',
  'Anthropic',
  'Bedrock',
  'AzureOpenAI',
  'DashScope',
  'Qianfan',
  'Gemini',
  'Ollama',
  'VLLM',
  'OpenAICompatible',
];

const MODES = { need: 'By what it must be', name: 'By its name', class: 'By its class' } as const;
type Mode = keyof typeof MODES;

/** By what it is asked for, from the address. */
function modeOf(query: URLSearchParams): Mode {
  const by = query.get('by') ?? '';
  if (Object.hasOwn(MODES, by)) return by as Mode;
  return query.has('class') ? 'class' : query.has('model') ? 'name' : 'need';
}

/** What is asked for, from the address. */
function bodyOf(query: URLSearchParams): Record<string, unknown> {
  const mode = modeOf(query);
  const body: Record<string, unknown> = {};
  const list = (name: string, from: string) => {
    const values = query.getAll(from).filter((value) => value !== '');
    if (values.length > 0) body[name] = values;
  };
  const words = (name: string, from: string) => {
    const values = (query.get(from) ?? '').split(',').map((word) => word.trim());
    const given = values.filter((word) => word !== '');
    if (given.length > 0) body[name] = given;
  };
  const whole = (name: string, from: string) => {
    const value = query.get(from) ?? '';
    // What is no number goes as it is: the API says what is wrong with it.
    if (value !== '') body[name] = Number.isNaN(Number(value)) ? value : Number(value);
  };
  const text = (name: string, from: string) => {
    const value = query.get(from) ?? '';
    if (value !== '') body[name] = value;
  };
  if (mode === 'name') text('model', 'model');
  if (mode === 'class') text('class', 'class');
  if (mode !== 'need') return body;
  list('capabilities', 'can');
  whole('min_score', 'score');
  whole('min_context_window', 'window');
  whole('min_output_tokens', 'answer');
  text('max_input_price', 'input');
  text('max_output_price', 'output');
  text('currency', 'currency');
  text('prefer', 'prefer');
  list('provider_types', 'type');
  words('regions', 'regions');
  words('exclude', 'exclude');
  words('recommended_for', 'for');
  whole('prompt_tokens', 'prompt');
  whole('output_tokens', 'completion');
  if (query.get('deprecated') === 'yes') body.allow_deprecated = true;
  return body;
}

function Field({
  name,
  label,
  number = false,
  hint,
  by,
}: {
  name: string;
  label: string;
  number?: boolean;
  hint?: string;
  /** The mode that it belongs to, which it stays in also when it is empty. */
  by?: Mode;
}) {
  return (
    <label>
      {label}
      <input
        type="text"
        inputMode={number ? 'numeric' : 'text'}
        value={route.value.query.get(name) ?? ''}
        placeholder={hint}
        onInput={(event) => choose({ ...(by && { by }), [name]: event.currentTarget.value })}
      />
    </label>
  );
}

function Choice({ name, label, options }: { name: string; label: string; options: [string, string][] }) {
  return (
    <label>
      {label}
      <select
        value={route.value.query.get(name) ?? ''}
        onChange={(event) => choose({ [name]: event.currentTarget.value })}
      >
        {options.map(([value, word]) => (
          <option key={value} value={value}>
            {word}
          </option>
        ))}
      </select>
    </label>
  );
}

function Chips({ name, legend, words }: { name: string; legend: string; words: readonly string[] }) {
  const chosen = route.value.query.getAll(name);
  return (
    <fieldset class="chips">
      <legend>{legend}</legend>
      {words.map((word) => (
        <button
          key={word}
          type="button"
          class="chip"
          aria-pressed={chosen.includes(word)}
          onClick={() =>
            choose({
              [name]: chosen.includes(word) ? chosen.filter((one) => one !== word) : [...chosen, word],
            })
          }
        >
          {name === 'can' ? spaced(word) : word}
        </button>
      ))}
    </fieldset>
  );
}

function Need() {
  return (
    <>
      <Chips name="can" legend="Can do all of" words={CAPABILITIES} />
      <div class="fields">
        <Field name="score" label="Score in each, at least" number hint="1 to 5" />
        <Field name="window" label="Window, at least" number hint="tokens" />
        <Field name="answer" label="Answer, at least" number hint="tokens" />
        <Field name="input" label="Input price, at most" hint="for 1,000 tokens" />
        <Field name="output" label="Output price, at most" hint="for 1,000 tokens" />
        <Field name="currency" label="Currency" hint="USD" />
        <Choice
          name="prefer"
          label="Prefer"
          options={[
            ['', 'the cheapest'],
            ['score', 'the best score'],
            ['context', 'the largest window'],
          ]}
        />
      </div>
      <details>
        <summary>More</summary>
        <Chips name="type" legend="Of a provider of one of these types" words={TYPES} />
        <div class="fields">
          <Field name="regions" label="Regions" hint="with commas between" />
          <Field name="exclude" label="Not these models" hint="with commas between" />
          <Field name="for" label="Recommended for" hint="with commas between" />
          <Field name="prompt" label="Prompt of a typical call" number hint="tokens" />
          <Field name="completion" label="Answer of a typical call" number hint="tokens" />
          <Choice
            name="deprecated"
            label="Deprecated models"
            options={[
              ['', 'not'],
              ['yes', 'too'],
            ]}
          />
        </div>
      </details>
    </>
  );
}

type Result = { answer: Answer; problem: null } | { answer: null; problem: Problem };

export function Resolve() {
  const { query } = route.value;
  const { namespace } = session.value;
  const mode = modeOf(query);
  const [result, setResult] = useState<Result | null>(null);
  const [isAsking, setAsking] = useState(false);
  const heading = useRef<HTMLHeadingElement>(null);
  const asked = useRef<AbortController | null>(null);
  useEffect(() => {
    // What was asked in another namespace is answered nowhere else.
    setResult(null);
    setAsking(false);
    return () => asked.current?.abort();
  }, [namespace]);
  useEffect(() => {
    if (result !== null) heading.current?.focus();
  }, [result]);

  const body = bodyOf(query);
  const ask = async (event: Event) => {
    event.preventDefault();
    asked.current?.abort();
    asked.current = new AbortController();
    const { signal } = asked.current;
    setAsking(true);
    try {
      const answer = await post<Answer>('resolve', { namespace }, body, signal);
      if (!signal.aborted) setResult({ answer, problem: null });
    } catch (error) {
      if (!signal.aborted) setResult({ answer: null, problem: asProblem(error) });
    } finally {
      if (!signal.aborted) setAsking(false);
    }
  };
  const everywhere = namespace === '*';
  return (
    <>
      <h1 tabIndex={-1}>Resolve</h1>
      <p class="lead">
        Asks for a model as an agent would, and shows why it is this one. No key is asked for.
      </p>
      {everywhere && (
        <Note title="Choose a namespace first">
          <p>An agent asks from one namespace: its own, unless it names another.</p>
        </Note>
      )}
      <form class="filters" aria-label="What is asked for" onSubmit={(event) => void ask(event)}>
        <fieldset class="modes">
          <legend class="unseen">Ask</legend>
          {Object.entries(MODES).map(([by, words]) => (
            <label key={by}>
              <input type="radio" name="by" checked={mode === by} onChange={() => choose({ by })} /> {words}
            </label>
          ))}
        </fieldset>
        {mode === 'need' && <Need />}
        {mode === 'name' && (
          <div class="fields">
            <Field name="model" label="Name, display name or the vendor’s id" by="name" />
          </div>
        )}
        {mode === 'class' && (
          <div class="fields">
            <Field name="class" label="Name of the class" by="class" />
          </div>
        )}
        <div class="actions">
          <button type="submit" class="main-button" disabled={everywhere || isAsking}>
            Resolve
          </button>
          <details>
            <summary>The request</summary>
            <pre tabIndex={0}>{`POST /api/v1/resolve\n\n${JSON.stringify(body, null, 2)}`}</pre>
          </details>
        </div>
      </form>
      {result?.problem && (
        <section aria-labelledby="answer">
          <h2 id="answer" tabIndex={-1} ref={heading}>
            No answer
          </h2>
          <ProblemNote problem={result.problem}>{null}</ProblemNote>
          {Array.isArray(result.problem.body.considered) && (
            <PassedOver
              considered={result.problem.body.considered as Considered[]}
              omitted={Number(result.problem.body.considered_omitted ?? 0)}
            />
          )}
        </section>
      )}
      {result?.answer && (
        <>
          <section aria-labelledby="answer">
            <h2 id="answer" tabIndex={-1} ref={heading}>
              Answer:{' '}
              <a href={href('models', result.answer.model.id, { namespace: result.answer.model.namespace })}>
                <Text of={result.answer.model.display_name ?? result.answer.model.name} />
              </a>
            </h2>
            <p class="under-title">
              <Text of={result.answer.model.model_id} /> in <Text of={result.answer.model.namespace} />
              {session.value.user !== null && <>, asked as {session.value.user}</>}
            </p>
            <p>To be tried in this order:</p>
            <Targets answer={result.answer} />
          </section>
          <PassedOver considered={result.answer.considered} omitted={result.answer.considered_omitted} />
        </>
      )}
    </>
  );
}
