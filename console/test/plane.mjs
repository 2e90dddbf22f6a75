// A control plane of the tests' own, and a vendor.

import { execFile, spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = resolve(import.meta.dirname, '../..');
const PROGRAM = join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'debug/llmplane');
export const KEY = 'sk-canary-Cs5planted23456789';

export async function until(what, found, { seconds = 120, every = 100 } = {}) {
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
    await new Promise((go) => setTimeout(go, every));
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
  /** What was started beside the plane's own processes. */
  children = [];

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
    for (const child of this.children) child.kill();
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

  /** Many objects, by several kubectl at once. */
  async applyAll(objects) {
    const parts = [];
    for (let at = 0; at < objects.length; at += 250) parts.push(objects.slice(at, at + 250));
    const work = async () => {
      for (let part = parts.shift(); part !== undefined; part = parts.shift()) await this.apply(part);
    };
    await Promise.all([work(), work(), work(), work()]);
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
  async console(namespace, api = this.apiUrl) {
    const args = [
      'console',
      '--no-open',
      '--api',
      api,
      '--namespace',
      namespace,
      '--service-account',
      'viewer',
    ];
    const child = spawn(PROGRAM, args, {
      env: { ...process.env, KUBECONFIG: this.kubeconfig },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.children.push(child);
    for await (const line of createInterface({ input: child.stdout })) return line;
    throw new Error('llmplane console printed no address');
  }

  /** Another API of the plane with these settings; its URL. */
  async api(settings) {
    const read = async (name) => JSON.parse(await readFile(join(this.state, name), 'utf8'));
    const [{ ports }, secrets] = [await read('state.json'), await read('secrets.json')];
    const [listen, admin] = [await freeAddress(), await freeAddress()];
    const child = spawn(PROGRAM, ['api'], {
      env: {
        KUBECONFIG: join(this.state, 'kubeconfig-llmplane-api'),
        DATABASE_URL: `postgres://llmplane_api:${secrets.api_password}@127.0.0.1:${ports.postgres}/llmplane?sslmode=disable`,
        LLMPLANE_LISTEN: listen,
        LLMPLANE_ADMIN_LISTEN: admin,
        RUST_LOG: 'warn',
        ...settings,
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    this.children.push(child);
    await until('the API is ready', async () => (await fetch(`http://${admin}/readyz`)).ok);
    return `http://${listen}`;
  }
}

/** An address of this machine that nobody listens at. */
async function freeAddress() {
  const server = createServer();
  await new Promise((go) => server.listen(0, '127.0.0.1', go));
  const { port } = server.address();
  await new Promise((go) => server.close(go));
  return `127.0.0.1:${port}`;
}
