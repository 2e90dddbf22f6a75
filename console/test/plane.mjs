// A control plane of the tests' own, a vendor, and what is declared in the namespaces that the views are
// looked at with.

import { execFile, spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = resolve(import.meta.dirname, '../..');
const PROGRAM = join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'debug/llmplane');
export const KEY = 'sk-canary-Cs5planted23456789';

export async function until(what, found, seconds = 120) {
  const deadline = Date.now() + seconds * 1000;
  let last;
  for (;;) {
    try {
      last = await found();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`${what}: not within ${seconds} s; at last ${last}`);
    await new Promise((go) => setTimeout(go, 100));
  }
}

function run(args, input) {
  return new Promise((done, failed) => {
    const child = execFile(PROGRAM, args, { maxBuffer: 64 << 20 }, (error, stdout, stderr) =>
      error
        ? failed(new Error(`llmplane ${args.slice(0, 9).join(' ')}: ${stderr || error.message}`))
        : done(stdout),
    );
    child.stdin.end(input ?? '');
  });
}

/** A vendor that speaks OpenAI's protocol. */
class Vendor {
  models = [];
  isDown = false;
  async start() {
    this.server = createServer((request, response) => {
      const answer = (status, body) => {
        response.writeHead(status, { 'Content-Type': 'application/json' });
        response.end(JSON.stringify(body));
      };
      if (this.isDown) return answer(503, { error: { message: 'overloaded' } });
      if (request.headers.authorization !== `Bearer ${KEY}`) {
        const error = {
          message: 'Incorrect API key provided.',
          type: 'invalid_request_error',
          code: 'invalid_api_key',
        };
        return answer(401, { error });
      }
      const entry = (id) => ({ id, object: 'model', created: 1700000000, owned_by: 'test' });
      if (request.url.startsWith('/v1/models/')) {
        const id = decodeURIComponent(request.url.slice('/v1/models/'.length));
        if (this.models.includes(id)) return answer(200, entry(id));
      } else if (request.url.startsWith('/v1/models')) {
        return answer(200, { object: 'list', data: this.models.map(entry) });
      }
      return answer(404, {
        error: { message: 'not found', type: 'invalid_request_error', code: 'model_not_found' },
      });
    });
    await new Promise((go) => this.server.listen(0, '127.0.0.1', go));
    this.url = `http://127.0.0.1:${this.server.address().port}/v1`;
    return this;
  }
  stop() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

export class Plane {
  consoles = [];

  static async up() {
    const plane = new Plane();
    plane.folder = await mkdtemp(join(tmpdir(), 'llmplane-console-'));
    plane.state = join(plane.folder, 'plane');
    plane.vendor = await new Vendor().start();
    await run(['local', 'up', '--throwaway', '--state-dir', plane.state]);
    const status = JSON.parse(await run(['local', 'status', '--state-dir', plane.state, '--output', 'json']));
    plane.apiUrl = status.api_url;
    plane.kubeconfig = status.kubeconfig;
    return plane;
  }

  async down() {
    for (const console of this.consoles) console.kill();
    this.vendor?.stop();
    await run(['local', 'down', '--purge', '--state-dir', this.state]);
    await rm(this.folder, { recursive: true, force: true });
  }

  kubectl(...args) {
    return run(['local', 'kubectl', '--state-dir', this.state, '--', ...args]);
  }

  async apply(objects) {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    const args = ['apply', '--server-side', '--force-conflicts', '-f', '-'];
    await run(['local', 'kubectl', '--state-dir', this.state, '--', ...args], JSON.stringify(list));
  }

  /** A namespace whose account `viewer` has these roles. */
  async namespace(name, roles = ['llmplane-viewer', 'llmplane-auditor']) {
    await this.apply([
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name } },
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'viewer', namespace: name } },
      ...roles.map((role) => ({
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata: { name: role, namespace: name },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
        subjects: [{ kind: 'ServiceAccount', name: 'viewer', namespace: name }],
      })),
    ]);
  }

  /** `llmplane console` for a namespace; its address. */
  async console(namespace) {
    const args = [
      'console',
      '--no-open',
      '--api',
      this.apiUrl,
      '--namespace',
      namespace,
      '--service-account',
      'viewer',
    ];
    const child = spawn(PROGRAM, args, {
      env: { ...process.env, KUBECONFIG: this.kubeconfig },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.consoles.push(child);
    for await (const line of createInterface({ input: child.stdout })) return line;
    throw new Error('llmplane console printed no address');
  }
}

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

/** Five providers with 200 models each, of which all work but a few. */
export async function declareMany(plane, namespace) {
  await plane.namespace(namespace);
  const declare = object(namespace);
  const names = ['openai', 'anthropic', 'gemini', 'mistral', 'deepseek'];
  const titles = ['OpenAI', 'Anthropic', 'Gemini', 'Mistral', '深度求索'];
  const models = [];
  names.forEach((provider, place) => {
    for (let number = 0; number < 200; number += 1) {
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
  for (let at = 0; at < models.length; at += 250) await plane.apply(models.slice(at, at + 250));
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
