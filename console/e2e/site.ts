import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export const binary = resolve(import.meta.dirname, process.env.LODGE_BIN ?? '../../bin/lodge');

/** The environment without settings of Lodge's, which are of some other site. */
const surroundings = () => Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('LODGE_')));

/** A real server with a data folder of its own and a simulated hub beside it. */
export interface Site {
  readonly url: string;
  readonly hubURL: string;
  readonly password: string;
  /** An administrator's token, for preparing what a test looks at. */
  readonly token: string;
  /** Calls the API as that administrator and gives the answer's JSON. */
  api(method: string, path: string, body?: unknown): Promise<unknown>;
  put(path: string, file: Upload, fields?: Record<string, string>): Promise<Response>;
  /** Sends a final result as the analysis itself does, with a token of its own. */
  final(analysis: string, file: Upload): Promise<Response>;
  lodge(...args: string[]): string;
  hubUp(): Promise<void>;
  hubDown(): Promise<void>;
  stop(): Promise<void>;
}

export interface Upload {
  readonly name: string;
  readonly type?: string;
  readonly content: string | Buffer;
}

export interface Options {
  /** How much faster than time a simulated site lives beside the server; without it there is none. */
  readonly simulator?: number;
  /** How many robots it has, if not as many as usual. */
  readonly robots?: number;
  /** More of lodge.yaml. */
  readonly config?: string;
}

/** Whoever runs the tests as root lets apps that are plain processes run as root too. */
const ownApps = process.getuid?.() === 0 ? 'apps:\n  process:\n    allow_root: true\n' : '';

export async function startSite({ simulator, robots = 8, config: more = ownApps }: Options = {}): Promise<Site> {
  if (!existsSync(binary)) throw new Error(`${binary} is not there: run "make build" first`);
  const home = mkdtempSync(join(tmpdir(), 'lodge-console-'));
  const data = join(home, 'data');
  const [port, hubPort] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const hubURL = `http://127.0.0.1:${hubPort}`;
  const config = join(home, 'lodge.yaml');
  writeFileSync(
    config,
    `results:\n  hub:\n    url: ${hubURL}\n    flow: robot\n    id: node-1\n    secret: not-a-real-secret\n    sync_timeout: 1s\n${more}`,
  );
  let hub = startHub(hubPort);
  await answers(hubURL);
  const serve = ['serve', '--data', data, '--listen', `127.0.0.1:${port}`, '--config', config];
  // Apps outlive their server otherwise, to be found again by the next one, which does not come here.
  const gone = { LODGE_APPS_STOP_APPS_ON_EXIT: 'true' };
  const server =
    simulator === undefined
      ? run([...serve, '--no-simulator'], gone)
      : run(serve, { ...gone, LODGE_FLEET_SIMULATOR_SPEED: String(simulator), LODGE_FLEET_SIMULATOR_ROBOTS: String(robots) });
  await answers(`${url}/readyz`, server);
  const lodge = (...args: string[]) =>
    execFileSync(binary, [...args, '--data', data], { encoding: 'utf8', env: surroundings() }).trim();
  const token = lodge('token', 'create', '--name', 'tests', '--admin');
  const request = async (method: string, path: string, init: RequestInit, by = token) => {
    const headers = new Headers(init.headers);
    headers.set('Authorization', `Bearer ${by}`);
    const response = await fetch(url + path, { ...init, method, headers });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response;
  };
  const put = (path: string, file: Upload, fields: Record<string, string>, by?: string) => {
    const form = new FormData();
    for (const [field, value] of Object.entries(fields)) form.append(field, value);
    form.append('file', new Blob([file.content as string], { type: file.type ?? 'application/octet-stream' }), file.name);
    return request('PUT', path, { body: form }, by);
  };
  const api = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const response = await request(
      method,
      path,
      body === undefined ? {} : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } },
    );
    const text = await response.text();
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  };
  return {
    url,
    hubURL,
    token,
    password: readFileSync(join(data, 'admin-password'), 'utf8').trim(),
    lodge,
    api,
    put: (path, file, fields = {}) => put(path, file, fields),
    async final(analysis, file) {
      const answer = await api('POST', '/api/v1/tokens', { name: `results of ${analysis.slice(-2)}`, claims: { client_id: analysis }, ttl: '1h' });
      return put('/results/final', file, {}, (answer as { token: string }).token);
    },
    async hubUp() {
      hub = startHub(hubPort);
      await answers(hubURL);
    },
    async hubDown() {
      await end(hub);
    },
    async stop() {
      await end(server);
      await end(hub);
      rmSync(home, { recursive: true, force: true });
    },
  };
}

function startHub(port: number): ChildProcess {
  return run(['simulate', 'hub', '--listen', `127.0.0.1:${port}`]);
}

const output = new WeakMap<ChildProcess, string[]>();

function run(args: string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...surroundings(), ...env } });
  const lines: string[] = [];
  output.set(child, lines);
  child.stdout.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
  return child;
}

function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return Promise.resolve();
  return new Promise((done) => {
    child.once('exit', () => done());
    child.kill('SIGTERM');
  });
}

/** Waits until an address answers with success. */
async function answers(url: string, child?: ChildProcess): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    if (child && child.exitCode !== null) throw new Error(`the server ended:\n${(output.get(child) ?? []).join('')}`);
    try {
      const response = await fetch(url);
      if (response.status < 500) return;
    } catch {
      // Not listening yet.
    }
    if (Date.now() > deadline) throw new Error(`${url} does not answer:\n${child ? (output.get(child) ?? []).join('') : ''}`);
    await new Promise((next) => setTimeout(next, 50));
  }
}

function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const server = createServer();
    server.once('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') failed(new Error('no port'));
        else found(address.port);
      });
    });
  });
}
