// A flood of each kind of message beside handlers that never settle: the memory, and what others notice.
import { type Conn, connPair } from '@ws/conn';
import { contract, event, method, stream } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { collectGarbage } from '../../../tests/kit/heap.ts';
import { rounds } from '../../../tests/kit/rounds.ts';
import { call, failure, never, quietly } from './pairs.ts';

const any = z.any();
const names = contract({
  server: {
    hang: method(any, any),
    echo: method(any, any),
    note: event(any),
    items: stream(any, any),
  },
  client: { ask: method(any, any) },
});

const MIB = 1024 * 1024;
/** Each flood has so many characters or messages, unless the server ends it. */
const FLOOD = Number(process.env['FLOOD_MIB'] ?? 20) * MIB;
const MESSAGES = FLOOD / 2_000;
const PAD = 'x'.repeat(1_900);

const signal = (method: string, params: object): string =>
  JSON.stringify({ jsonrpc: '2.0', method, params, pad: PAD });

const KINDS: readonly (readonly [kind: string, (i: number) => string | Uint8Array])[] = [
  ['requests', (i) => call(i, 'hang', [PAD])],
  ['small requests', (i) => call(i, 'hang', [])],
  ['requests with long ids', (i) => call(`${i}${PAD}`, 'hang', [])],
  [
    'requests that parse to many objects',
    (i) =>
      call(
        i,
        'hang',
        Array.from({ length: 300 }, () => ({})),
      ),
  ],
  ['events', (i) => signal('note', [i])],
  ['small events', () => '{"jsonrpc":"2.0","method":"note"}'],
  ['requests of streams', (i) => call(i, 'items', [PAD])],
  [
    'requests and their cancels',
    (i) => (i % 2 ? signal('$/cancelRequest', { id: i - 1 }) : call(i, 'hang', [PAD])),
  ],
  ['questions', (i) => call(i, '$/alive', [PAD])],
  ['unknown methods', (i) => call(i, 'unknown', [PAD])],
  ['unknown events', (i) => signal(`unknown${i}`, [])],
  ['broken messages', () => `{${PAD}`],
  ['binary messages', () => new Uint8Array(1_900)],
  ['cancels', (i) => signal('$/cancelRequest', { id: i })],
  ['items', (i) => signal('$/item', { id: i, items: [PAD] })],
  ['reports of items', (i) => signal('$/more', { id: i, n: 1e9 })],
  ['answers', (i) => JSON.stringify({ jsonrpc: '2.0', id: i, result: PAD })],
];

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Sends messages while the server takes them. Returns the longest time of a call of another client, in turns. */
async function flood(
  attacker: Conn,
  victim: { echo(n: number): Promise<unknown> },
  message: (i: number) => string | Uint8Array,
): Promise<number> {
  let sent = 0;
  let slowest = 0;
  let idle = 0;
  let i = 0;
  const mayGoOn = (): boolean => sent < FLOOD && i < MESSAGES && attacker.state === 'open';
  while (idle < 200 && mayGoOn()) {
    idle++;
    while (attacker.bufferedAmount < 256 * 1024 && mayGoOn()) {
      idle = 0;
      const data = message(i++);
      sent += data.length;
      quietly(attacker.send(data));
      if (i % 512 === 0) break;
    }
    let turns = 0;
    let isAnswered = false;
    void victim.echo(i).then(() => (isAnswered = true));
    for (; !isAnswered; turns++) await turn();
    slowest = Math.max(slowest, turns);
  }
  return slowest;
}

describe.each([true, false])('H8 a flood of a client that reads: %s', (reads) => {
  // A client that reads is flooded by its answers only: a few kinds show it.
  it.each(reads ? KINDS.slice(0, rounds(4, KINDS.length)) : KINDS)(
    'of %s stays within the bounds, and leaves others their turns',
    async (_, message) => {
      const serve = names.serve({
        hang: never,
        note: never,
        echo: (n) => n,
        async *items() {
          yield 1;
          await never();
        },
      });
      const report = (): void => {};
      const [attacker, attacked] = connPair({ report });
      const [client, server] = connPair({ report });
      quietly(serve(attacked));
      quietly(serve(server));
      const victim = names.connect(client, { ask: never });
      await victim.echo(0);
      for (let i = 0; i < 64; i++) quietly(attacker.send(call(`h${i}`, 'hang', [])));
      if (reads) quietly(attacker.receive(() => {}));
      await turn();
      collectGarbage();
      const before = process.memoryUsage().heapUsed;
      const slowest = await flood(attacker, victim, message);
      collectGarbage();
      const grown = process.memoryUsage().heapUsed - before;
      // The queue has 16 MiB, and the end that attacks its own buffers.
      expect(grown).toBeLessThan(24 * MIB);
      expect(slowest).toBeLessThan(20);
      expect(await failure(victim.echo(1))).toBeUndefined();
      attacker.terminate();
      client.terminate();
    },
  );
});
