// The manifest and the program of docs/restart.md: its probes in each phase of a server.
import { readFileSync } from 'node:fs';
import { dial } from '@ws/node-client';
import { type ServeOptions, serve, type WsServer } from '@ws/node-server';
import { describe, expect, it, onTestFinished, vi } from 'vitest';

const page = readFileSync('docs/restart.md', 'utf8').split('## Probes')[1]!;
const block = (language: string): string => page.split(`\`\`\`${language}\n`)[1]!.split('```')[0]!;
const manifest = block('yaml');
const figure = (name: string, text = manifest): number =>
  Number(new RegExp(`${name}: ([0-9_]+)`).exec(text)![1]!.replaceAll('_', ''));
const probe = (name: string): string => manifest.split(`${name}Probe:`)[1]!;
const path = (name: string): string => /path: (\S+),/.exec(probe(name))![1]!;

/** Runs the program of the page on a free port, with some more options. */
async function program(more: ServeOptions) {
  const signals: (() => void)[] = [];
  const run = new (Object.getPrototypeOf(async () => {}).constructor as FunctionConstructor)(
    'serve',
    'process',
    `${block('ts').replace(/^import .*$/m, '')}\nreturn server;`,
  );
  const server = (await run(
    (options: ServeOptions, handler: never) =>
      serve(
        { ...options, ...more, port: 0, host: '127.0.0.1', close: { ...options.close, over: 0 } },
        handler,
      ),
    { on: (_name: string, listener: () => void) => void signals.push(listener) },
  )) as WsServer;
  return { server, terminate: () => signals.forEach((each) => each()) };
}

/** What a kubelet sees: whether the answer is 200 to 399. */
async function probes(port: number): Promise<{ ready: boolean; live: boolean }> {
  const ask = (name: string): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}${path(name)}`, { headers: { connection: 'close' } }).then(
      ({ status }) => status >= 200 && status < 400,
      () => false,
    );
  return { ready: await ask('readiness'), live: await ask('liveness') };
}

describe('102 the probes of docs/restart.md', () => {
  it('have times that fit the close of the program', () => {
    const [drain, over, timeout] = ['drain', 'over', 'timeout'].map((name) =>
      figure(name, block('ts')),
    );
    const grace = figure('terminationGracePeriodSeconds') * 1_000;
    expect(grace).toBeGreaterThan(drain! + over! + timeout!);
    const unready =
      figure('periodSeconds', probe('readiness')) * figure('failureThreshold', probe('readiness'));
    expect(drain).toBeGreaterThan(unready * 1_000);
    expect(figure('containerPort')).toBe(figure('port', block('ts')));
  });

  it('see a server that is ready, busy, draining and closed', async () => {
    let now = Math.ceil(performance.now());
    // No token comes while the clock stands.
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    onTestFinished(() => void vi.restoreAllMocks());
    const { server, terminate } = await program({
      handshakes: { perSecond: 10, burst: 1, wait: 10_000 },
    });
    const port = Number(new URL(server.url).port);
    const seen: unknown[] = [];
    const look = async (): Promise<void> => void seen.push([server.phase, await probes(port)]);
    await look();
    const first = await dial(server.url);
    const waiting = dial(server.url).catch((error: unknown) => error);
    while (server.stats.handshakesWaiting === 0) await new Promise((done) => setImmediate(done));
    await look();
    now += 100;
    const second = await waiting;
    // The end of the time `drain` comes when the test says so.
    const drained: (() => void)[] = [];
    const { setTimeout: later } = globalThis;
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(((run: () => void, ms: number) =>
      ms === figure('drain', block('ts')) ? void drained.push(run) : later(run, ms)) as never);
    terminate();
    expect(drained).toHaveLength(1);
    now += 100;
    const late = await dial(server.url);
    await look();
    expect(server.stats.open).toBe(3);
    void server.close();
    drained[0]!();
    const conns = [first, second, late] as Awaited<ReturnType<typeof dial>>[];
    for (const conn of conns) expect((await conn.closed).code).toBe(1001);
    await server.close();
    await look();
    expect(seen).toEqual([
      ['ready', { ready: true, live: true }],
      ['busy', { ready: true, live: true }],
      ['draining', { ready: false, live: true }],
      ['closed', { ready: false, live: false }],
    ]);
  });
});
