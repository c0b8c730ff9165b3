import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { lacksDaemon } from '@ws/tests';
import { LOADER } from '@ws/tests/loader';
import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from './cluster.ts';
import { adminOf, atEnd, endAll, startRedis } from './setup.ts';

const SCRIPT = fileURLToPath(new URL('load-node.ts', import.meta.url));
const NODES = 3;
const MS = 4_000;
const ROUNDS = 3;
const RESTORED = 100_000;

interface Answer {
  readonly published: number;
  readonly cpu: number;
  readonly ms: number;
}

/** A process with a hub. */
async function startNode(
  engine: string,
  port: number,
  history: boolean,
  client = 'redis',
): Promise<ChildProcess> {
  const args = [...LOADER, SCRIPT, engine, String(port), String(history), client];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  atEnd(() => child.kill('SIGKILL'));
  await once(child, 'message');
  return child;
}

async function ask(child: ChildProcess, command: object): Promise<Answer> {
  const answer = once(child, 'message');
  child.send(command);
  return (await answer)[0] as Answer;
}

describe.skipIf(lacksDaemon('redis-server'))('a cluster next to one server', () => {
  afterEach(endAll);

  it.each([false, true])('has three hubs that publish, history: %s', async (history) => {
    const cluster = await TestCluster.start();
    atEnd(() => cluster.close());
    const engines = { server: (await startRedis()).port, cluster: cluster.ports[0]! };
    const rates: Record<string, { wall: number[]; cpu: number[] }> = {};
    const nodes: Record<string, ChildProcess[]> = {};
    for (const [engine, port] of Object.entries(engines)) {
      nodes[engine] = [];
      rates[engine] = { wall: [], cpu: [] };
      for (let i = 0; i < NODES; i++) nodes[engine].push(await startNode(engine, port, history));
      await Promise.all(nodes[engine].map((node) => ask(node, { join: 60 })));
    }
    for (let round = 0; round <= ROUNDS; round++) {
      for (const [engine, { wall, cpu }] of Object.entries(rates)) {
        const answers = await Promise.all(nodes[engine]!.map((node) => ask(node, { publish: MS })));
        const published = answers.reduce((sum, answer) => sum + answer.published, 0);
        // The first round warms up.
        if (round === 0) continue;
        wall.push((1_000 * published) / MS);
        cpu.push(published / answers.reduce((sum, answer) => sum + answer.cpu, 0));
      }
    }
    for (const kind of ['wall', 'cpu'] as const) {
      const [server, many] = ['server', 'cluster'].map((name) => median(rates[name]![kind]));
      console.log(
        `history ${history}: publications a ${kind} second: server ${Math.round(server!)}, ` +
          `cluster ${Math.round(many!)}, ratio ${(many! / server!).toFixed(2)}`,
      );
      expect(many).toBeGreaterThan(0);
    }
  });

  it.each([
    ['server', 'redis'],
    ['cluster', 'redis'],
    ['server', 'ioredis'],
    ['cluster', 'ioredis'],
  ])('restores 100,000 rooms of a %s after a reconnect, client: %s', async (engine, client) => {
    const cluster = engine === 'cluster' ? await TestCluster.start() : undefined;
    if (cluster !== undefined) atEnd(() => cluster.close());
    const ports = cluster === undefined ? [(await startRedis()).port] : await cluster.primaries();
    const node = await startNode(engine, ports[0]!, false, client);
    const admins = ports.map((port) => cluster?.admin(port) ?? adminOf(port));
    const kind = cluster === undefined ? 'CHANNELS' : 'SHARDCHANNELS';
    const channels = async () => {
      const names = await Promise.all(admins.map((admin) => admin.call('PUBSUB', kind)));
      return names.flat().length;
    };
    await ask(node, { join: RESTORED });
    await expect.poll(channels, { interval: 500, timeout: 90_000 }).toBeGreaterThan(RESTORED);
    const answer = ask(node, { restore: RESTORED });
    await Promise.all(admins.map((admin) => admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')));
    const { cpu, ms } = await answer;
    console.log(
      `${engine}, ${client}: ${RESTORED} rooms restored in ${cpu.toFixed(1)} s of CPU, ` +
        `${Math.round(ms)} ms`,
    );
  });
});

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
}
