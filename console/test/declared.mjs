// What is declared in the namespaces that the views are looked at with.

import { KEY, until } from './plane.mjs';

const object = (namespace) => (kind, name, spec, labels) => ({
  apiVersion: 'llmplane.dev/v1alpha1',
  kind,
  metadata: { name, namespace, ...(labels && { labels }) },
  spec,
});

function secret(namespace, name, key) {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      namespace,
      labels: { 'llmplane.dev/credential': 'OpenAICompatible' },
      annotations: { 'llmplane.dev/allowed-hosts': '127.0.0.1' },
    },
    stringData: { 'api-key': key },
  };
}

const CAN = [
  'Chat',
  'FunctionCalling',
  'Vision',
  'StructuredOutput',
  'Streaming',
  'Reasoning',
  'PromptCaching',
  'CodeGeneration',
];
const WINDOWS = [8192, 32768, 128000, 200000, 1048576];
const inDays = (days) => new Date(Date.now() + days * 86400_000).toISOString().replace(/\.\d+Z$/, 'Z');

/** What the first model of each provider has beside the others: every price, limits, and an end. */
const whole = (provider) => ({
  pricing: {
    currency: 'USD',
    inputPer1kTokens: '0.0025',
    outputPer1kTokens: '0.01',
    cacheReadPer1kTokens: '0.00025',
    cacheWritePer1kTokens: '0.003125',
    reasoningPer1kTokens: '0.012',
    audioInputPer1kTokens: '0.04',
    audioOutputPer1kTokens: '0.08',
    batchInputPer1kTokens: '0.00125',
    batchOutputPer1kTokens: '0.005',
    perRequest: '0.001',
    perImage: '0.02',
    tiers: [
      { fromInputTokens: 200000, inputPer1kTokens: '0.005', outputPer1kTokens: '0.015' },
      { fromInputTokens: 1000000, inputPer1kTokens: '0.01', outputPer1kTokens: '0.02' },
    ],
  },
  limits: [
    { unit: 'Requests', limit: 500, period: 'Minute' },
    { unit: 'InputTokens', limit: 2000000, period: 'Day' },
    { unit: 'ConcurrentRequests', limit: 16 },
  ],
  deprecatedAt: inDays(-30),
  retiresAt: inDays(20),
  replacement: { modelId: `${provider}-model-1` },
});

/** Models of each provider that end, in days from now; the first does too. */
const ENDS = { 12: 60, 13: 200, 14: -10 };

/** Five providers with so many models each, of which all work but a few. */
export async function declareMany(plane, namespace, each = 200) {
  await plane.namespace(namespace);
  const declare = object(namespace);
  const names = ['openai', 'anthropic', 'gemini', 'mistral', 'deepseek'];
  const titles = ['OpenAI', 'Anthropic', 'Gemini', 'Mistral', '深度求索'];
  const models = [];
  names.forEach((provider, place) => {
    for (let number = 0; number < each; number += 1) {
      const id = `${provider}-model-${number}`;
      // One in a hundred is not on the vendor's list.
      if (number % 100 !== 99) plane.vendor.models.push(id);
      const price = ((number % 40) + 1) * (place + 1);
      models.push(
        declare('LlmModel', id, {
          providerRef: { name: provider },
          modelId: id,
          displayName: `${titles[place]} ${['Large', 'Small', 'Mini', 'Pro'][number % 4]} ${number}`,
          type: 'Chat',
          contextWindow: WINDOWS[number % WINDOWS.length],
          maxOutputTokens: 8192,
          lifecycle: number % 50 === 7 ? 'Deprecated' : 'Available',
          pricing: {
            currency: place === 4 ? 'CNY' : 'USD',
            inputPer1kTokens: (price / 10000).toFixed(4),
            outputPer1kTokens: (price / 2500).toFixed(4),
          },
          capabilities: CAN.filter((_, at) => (number + at) % 3 !== 0).map((name, at) => ({
            name,
            score: ((number + at) % 5) + 1,
          })),
          recommendedFor: number % 10 === 0 ? ['summaries'] : [],
          ...(number in ENDS && { retiresAt: inDays(ENDS[number]) }),
          ...(number === 0 && whole(provider)),
        }),
      );
    }
  });
  await plane.apply([
    ...names.map((name, place) =>
      declare('LlmProvider', name, { type: 'OpenAICompatible', displayName: titles[place] }),
    ),
    ...names.flatMap((name, place) =>
      ['eu', 'us'].map((region, at) =>
        declare('LlmEndpoint', `${name}-${region}`, {
          providerRef: { name },
          // One answers at no port at all.
          baseUrl: place === 3 && at === 1 ? 'http://127.0.0.1:1/v1' : plane.vendor.url,
          region: `${region}-central-1`,
          priority: at + 1,
          healthCheck: { periodSeconds: 5, timeoutSeconds: 3, failureThreshold: 1 },
        }),
      ),
    ),
    ...names.map((name) => secret(namespace, name, KEY)),
    ...names.map((name, place) =>
      declare('LlmCredential', name, {
        providerRef: { name },
        secretRef: { name },
        alias: `${titles[place]}, production`,
        ...(place === 1 && { expiresAt: inDays(5) }),
        ...(place === 2 && { expiresAt: inDays(80) }),
      }),
    ),
    secret(namespace, 'refused', 'sk-canary-Rf6refused2345678'),
    declare('LlmCredential', 'refused', {
      providerRef: { name: 'mistral' },
      secretRef: { name: 'refused' },
      endpointRefs: [{ name: 'mistral-eu' }],
      alias: 'Mistral, spare',
      priority: 200,
    }),
  ]);
  await plane.applyAll(models);
  await plane.apply([
    declare('LlmModelClass', 'in-order', {
      displayName: 'In order',
      models: [{ name: 'openai-model-99' }, { name: 'openai-model-4' }, { name: 'anthropic-model-4' }],
    }),
    declare('LlmModelClass', 'sees', {
      displayName: 'Sees, cheap',
      description: 'For screenshots and scanned letters.',
      need: { capabilities: ['Chat', 'Vision'], minContextWindow: 128000, currency: 'USD' },
    }),
    declare('LlmModelClass', 'thinks', {
      displayName: 'Thinks best',
      need: { capabilities: ['Reasoning'], minScore: 4 },
      prefer: 'Score',
    }),
    declare('LlmModelClass', 'impossible', { need: { minContextWindow: 900000000 } }),
    declare('LlmModelClass', 'off', { models: [{ name: 'openai-model-4' }], enabled: false }),
  ]);
}

/** Everything that can be wrong, and nothing that works. */
export async function declareBroken(plane, namespace) {
  await plane.namespace(namespace);
  const declare = object(namespace);
  const nowhere = 'http://127.0.0.1:1/v1';
  const check = { periodSeconds: 5, timeoutSeconds: 2, failureThreshold: 1 };
  await plane.apply([
    declare('LlmProvider', 'down', { type: 'OpenAICompatible', displayName: 'Nobody answers' }),
    declare('LlmEndpoint', 'down', { providerRef: { name: 'down' }, baseUrl: nowhere, healthCheck: check }),
    declare('LlmCredential', 'lost', { providerRef: { name: 'down' }, secretRef: { name: 'not-there' } }),
    declare('LlmProvider', 'refusing', { type: 'OpenAICompatible', displayName: 'Takes no key' }),
    declare('LlmEndpoint', 'refusing', {
      providerRef: { name: 'refusing' },
      baseUrl: plane.vendor.url,
      healthCheck: check,
    }),
    secret(namespace, 'wrong', 'sk-canary-Wr7wrong23456789'),
    declare('LlmCredential', 'wrong', { providerRef: { name: 'refusing' }, secretRef: { name: 'wrong' } }),
    // Of whose ServiceAccount nobody agreed: no vendor is asked.
    declare('LlmCredential', 'keyless', {
      providerRef: { name: 'refusing' },
      federation: {
        serviceAccountRef: { name: 'agents' },
        audience: 'https://openrouter.ai',
        openRouter: { federationPolicyId: 'fp_1' },
      },
      alias: 'Keyless',
    }),
    declare('LlmModelClass', 'nothing-fits', {
      need: {
        modalities: { input: ['Text', 'Image'], output: ['Text'] },
        embeddingDimensions: 1536,
        recommendedFor: ['summaries', 'code'],
        promptTokens: 3000,
        cachedTokens: 2000,
        outputTokens: 500,
      },
    }),
    declare('LlmModelClass', 'nothing-works', { models: [{ name: 'm-0' }, { name: 'nobody' }] }),
    declare('LlmModel', 'orphan', { providerRef: { name: 'nobody' }, modelId: 'x' }),
    declare('LlmEndpoint', 'orphan', { providerRef: { name: 'nobody' }, baseUrl: nowhere }),
    ...Array.from({ length: 40 }, (_, number) =>
      declare('LlmModel', `m-${number}`, { providerRef: { name: 'down' }, modelId: `m-${number}` }),
    ),
  ]);
}

export const HOSTILE = [
  '<script>window.hacked=1</script>',
  '"><img src=x onerror="window.hacked=1">',
  'javascript:window.hacked=1',
  '{{constructor.constructor("window.hacked=1")()}}',
  '通义千问 超大杯 最新版',
  'نموذج كبير جدا للغة العربية',
  'x'.repeat(100),
];

/** Names that are more than names. */
export async function declareHostile(plane, namespace) {
  plane.vendor.models.push(...HOSTILE.map((_, number) => `hostile-${number}`));
  await plane.namespace(namespace);
  const declare = object(namespace);
  await plane.apply([
    declare('LlmProvider', 'p', {
      type: 'OpenAICompatible',
      displayName: HOSTILE[0],
      description: HOSTILE[1],
    }),
    declare('LlmEndpoint', 'e', {
      providerRef: { name: 'p' },
      displayName: HOSTILE[1],
      baseUrl: plane.vendor.url,
      region: 'r-1',
    }),
    secret(namespace, 's', KEY),
    declare('LlmCredential', 'c', {
      providerRef: { name: 'p' },
      secretRef: { name: 's' },
      alias: HOSTILE[0],
      description: HOSTILE[1],
    }),
    ...HOSTILE.map((displayName, number) =>
      declare('LlmModel', `m-${number}`, {
        providerRef: { name: 'p' },
        modelId: `hostile-${number}`,
        displayName,
        recommendedFor: [displayName.slice(0, 50)],
        defaultParameters: { stop: displayName },
      }),
    ),
    declare('LlmModelClass', 'k', {
      displayName: HOSTILE[0],
      description: HOSTILE[1],
      models: HOSTILE.map((_, number) => ({ name: `m-${number}` })),
    }),
  ]);
}

/** Waits until so many models of a namespace were found to be available. */
export async function settled(plane, namespace, number) {
  await until(
    `${number} models of ${namespace} are available`,
    async () => {
      const states = await plane.kubectl(
        'get',
        'llmmodels',
        '-n',
        namespace,
        '-o',
        'jsonpath={.items[*].status.conditions[?(@.type=="Available")].status}',
      );
      return states.split(' ').filter((state) => state === 'True').length >= number;
    },
    { seconds: 300 + number / 10, every: 100 + number / 2 },
  );
}
