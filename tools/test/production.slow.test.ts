// docs/production.md: its programs, as files of one folder, by the commands of the page.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { type ClientConn, dial } from '@ws/node-client';
import { ownPort } from '@ws/tests';
import { limitFileSize } from '@ws/tests/examples';
import { LOADER } from '@ws/tests/loader';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';

const root = join(import.meta.dirname, '../..');
// Inside the tree, so that the programs and the compiler find the packages by name.
const folder = join(root, '.out/production');

const page = readFileSync(join(root, 'docs/production.md'), 'utf8');
const blocks = [...page.matchAll(/^```(\w+)\n([^]*?)^```/gm)].map(([, language, code]) => ({
  language: language!,
  code: code!,
}));
/** The programs of the page. The first line of each has its name. */
const programs = blocks.filter(({ language }) => language === 'ts').map(({ code }) => code);
const nameOf = (code: string): string => /^\/\/ (\S+)\n/.exec(code)![1]!;

/** The only command of the page with this text. */
function step(part: string): string {
  const found = blocks.filter(({ language, code }) => language === 'sh' && code.includes(part));
  expect(found).toHaveLength(1);
  return found[0]!.code;
}

/** Node before 22.18 runs no TypeScript. There, a reader writes `npx tsx`. */
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const NODE_OPTIONS = LOADER.map((arg) => (arg === 'tsx' ? TSX : arg)).join(' ');

/** Runs a step as a shell does, and ends the programs that it leaves. Resolves with its output. */
async function runStep(script: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const child = spawn('sh', ['-ec', script], {
    cwd: folder,
    env: { ...process.env, NODE_OPTIONS, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A process group.
    detached: true,
  });
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await once(child, 'exit');
  try {
    process.kill(-child.pid!, 'SIGKILL');
  } catch {
    // All programs have ended.
  }
  const [out, errors] = await output;
  expect(code, `${script}\n${out}${errors}`).toBe(0);
  return out;
}

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  for (const code of programs) writeFileSync(join(folder, nameOf(code)), code);
});

it('the programs of docs/production.md type-check', { timeout: 120_000 }, () => {
  const compilerOptions = { noEmit: true, composite: false, incremental: false };
  const config = { extends: join(root, 'tsconfig.json'), compilerOptions };
  const content = { ...config, include: ['*.ts'], exclude: [], references: [] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(content));
  const tsc = join(root, 'tools/node_modules/typescript-7/bin/tsc');
  const args = [tsc, '-p', folder, '--listFiles'];
  const { stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
  expect(stdout).toContain('.out/production/talk.ts');
  // `pnpm check types` checks the other files, with their options.
  expect(stdout.match(/^\w[\w.]*\(\d+,\d+\): .*$/gm)).toBe(null);
});

const SECRET = 'a secret for tests only';

interface Service {
  readonly url: string;
  readonly process: ChildProcess;
  /** The file with its messages. */
  readonly file: string;
}

/** Runs `server.ts`, and resolves when it is healthy. */
async function startService(data: string, port?: string): Promise<Service> {
  const env = { PORT: port ?? `${await ownPort()}`, METRICS_PORT: '0', SECRET, DATA: data };
  const child = spawn(process.execPath, ['server.ts'], {
    cwd: folder,
    env: { ...process.env, NODE_OPTIONS, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const url = `127.0.0.1:${env.PORT}`;
  const isHealthy = () =>
    fetch(`http://${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  while (!(await isHealthy())) {
    expect(child.exitCode, 'the server has ended').toBe(null);
    await wait(50);
  }
  return { url, process: child, file: join(folder, data) };
}

async function logIn({ url }: Service, password: string): Promise<Response> {
  return fetch(`http://${url}`, { headers: { Authorization: `Basic ${btoa(password)}` } });
}

async function cookieOf(service: Service): Promise<string> {
  return (await logIn(service, 'ada:engine')).headers.getSetCookie()[0]!;
}

async function enter({ url }: Service, cookie: string): Promise<ClientConn> {
  return dial(`ws://${url}/rooms/lobby`, { headers: { cookie } });
}

interface Got {
  readonly seq: number;
  readonly after: number;
  readonly id: string;
  readonly text: string;
}

/** Says something once. Resolves with the answer, or with the code of the close frame. */
async function say(service: Service, id: string): Promise<Got | number> {
  const conn = await enter(service, await cookieOf(service));
  try {
    await conn.writeJSON({ id, text: id });
    for (;;) {
      const got = await conn.readJSON<Got>();
      if (got.id === id) return got;
    }
  } catch {
    return (await conn.closed).code;
  } finally {
    conn.terminate();
  }
}

/** Lines of a file with messages of the lobby. */
function past(count: number): string {
  const line = (i: number): string =>
    JSON.stringify({
      seq: i + 1,
      after: i,
      id: `old-${i}`,
      room: 'room/lobby',
      user: 'ada',
      text: 'x'.repeat(60),
    });
  return Array.from({ length: count }, (_, i) => `\n${line(i)}`).join('');
}

describe('docs/production.md', { timeout: 300_000 }, () => {
  it('has a test that passes', async () => {
    expect(await runStep(step('node --test'))).toMatch(/^(?:#|ℹ) pass 1$/m);
  });

  it('restarts the server under load without losing or repeating a message', async () => {
    const env = { PORT: `${await ownPort()}`, METRICS_PORT: `${await ownPort()}` };
    expect(await runStep(step('talk.ts'), env)).toBe('true\n');
    const lines = readFileSync(join(folder, 'messages.jsonl'), 'utf8').trim().split('\n');
    const messages = lines.map((line) => JSON.parse(line) as Got);
    expect(messages.map(({ seq }) => seq)).toEqual(messages.map((_, i) => i + 1));
    expect(new Set(messages.map(({ id }) => id)).size).toBe(500);
    expect(messages).toHaveLength(500);
  });

  it.runIf(process.platform === 'linux')(
    'keeps each confirmed message when the disk is full within a write',
    async () => {
      const service = await startService('disk.jsonl');
      expect(await say(service, 'one')).toMatchObject({ seq: 1 });
      limitFileSize(service.process.pid!, statSync(service.file).size + 30);
      expect(await say(service, 'two')).toBe(1011);
      limitFileSize(service.process.pid!, 'unlimited');
      expect(await say(service, 'three')).toMatchObject({ seq: 2, text: 'three' });
      // The client sends it again.
      expect(await say(service, 'two')).toMatchObject({ seq: 3 });

      service.process.kill('SIGKILL');
      await once(service.process, 'exit');
      const again = await startService('disk.jsonl', new URL(`ws://${service.url}`).port);
      const conn = await enter(again, await cookieOf(again));
      const texts = [];
      for (let i = 0; i < 3; i++) texts.push((await conn.readJSON<Got>()).text);
      conn.terminate();
      expect(texts).toEqual(['one', 'three', 'two']);
      expect(await say(again, 'four')).toMatchObject({ seq: 4, after: 3 });
    },
  );

  it('sends 1,000 messages of a long past, also to 50 connections at once', async () => {
    writeFileSync(join(folder, 'past.jsonl'), past(120_000));
    const service = await startService('past.jsonl');
    const cookie = await cookieOf(service);
    const all = await Promise.all(Array.from({ length: 50 }, () => enter(service, cookie)));
    expect((await fetch(`http://${service.url}/health`)).ok).toBe(true);
    for (const conn of all) {
      let bytes = 0;
      for (let seq = 119_001; seq <= 120_000; seq++) {
        const message = await conn.readMessage();
        bytes += message.data.length;
        expect(message.json()).toMatchObject({ seq, after: seq - 1 });
      }
      expect(bytes).toBeLessThan(512 * 1024);
      conn.terminate();
    }
    // An id of the past is a repetition.
    expect(await say(service, 'old-119999')).toMatchObject({ id: 'old-119999' });
    expect(await say(service, 'new')).toMatchObject({ seq: 120_001, after: 120_000 });
  });

  it('bounds what one client sends, and closes what does not fit with 1007', async () => {
    const service = await startService('hostile.jsonl');
    const cookie = await cookieOf(service);
    const wrong = [
      Uint8Array.of(0xff),
      'x',
      'null',
      '[]',
      '{"id":1,"text":"x"}',
      '{"id":"x"}',
      `{"id":"${'i'.repeat(37)}","text":"x"}`,
    ];
    for (const message of wrong) {
      const conn = await enter(service, cookie);
      await conn.send(message);
      expect([message, (await conn.closed).code]).toEqual([message, 1007]);
    }
    const conn = await enter(service, cookie);
    await conn.writeJSON({ id: 'large', text: 'x'.repeat(5_000) });
    expect((await conn.closed).code).toBe(1009);
    expect(statSync(service.file).size).toBe(0);
    for (const path of ['/rooms/lobby/x', '/rooms/cellar', '/rooms/__proto__']) {
      await expect(dial(`ws://${service.url}${path}`, { headers: { cookie } })).rejects.toThrow();
    }
  });

  it('takes the whole password, and ends the connections of an expired login', async () => {
    const service = await startService('login.jsonl');
    for (const wrong of ['ada:engine:x', 'ada:', 'ada', ':engine', 'eve:', 'eve:engine']) {
      expect([wrong, (await logIn(service, wrong)).status]).toEqual([wrong, 401]);
    }
    const claim = `ada.${Date.now() + 2_000}`;
    const cookie = `session=${claim}.${createHmac('sha256', SECRET).update(claim).digest('hex')}`;
    const conn = await enter(service, cookie);
    expect((await conn.closed).code).toBe(4401);
    await expect(enter(service, cookie)).rejects.toMatchObject({ status: 401 });
  });
});
