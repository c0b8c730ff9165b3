import { Buffer } from 'node:buffer';
import {
  CloseMessage,
  type Conn,
  connPair,
  formatCloseMessage,
  PingMessage,
  PongMessage,
  ReadPendingError,
  TextMessage,
} from '@ws/conn';
import { afterEach, describe, expect, it } from 'vitest';
import { FakePlatform, turn } from '../kit/fake-platform.ts';
import { Random } from '../kit/random.ts';
import { atLeast, atMost, claim, KIB, survives } from './harness/index.ts';
import { frame, targetConn } from './target-conn.ts';

/** Two frames of each kind that has a callback. */
const FRAMES = Buffer.concat(
  [PingMessage, PongMessage, TextMessage].flatMap((opcode) => [
    frame('server', opcode, 'a'),
    frame('server', opcode, 'b'),
  ]),
);
const CLOSE = frame('server', CloseMessage, formatCloseMessage(1000));

type Run = () => unknown;

/** The places where the connection calls the application. */
const CALLBACKS: Readonly<Record<string, (conn: Conn, run: Run) => void>> = {
  receive: (conn, run) => void conn.receive(() => void run()),
  ping: (conn, run) => conn.setPingHandler(() => void run()),
  pong: (conn, run) => conn.setPongHandler(() => void run()),
  close: (conn, run) => conn.setCloseHandler(() => void run()),
};

const ACTIONS: Readonly<Record<string, (conn: Conn) => unknown>> = {
  close: (conn) => conn.close(),
  terminate: (conn) => conn.terminate(),
  write: (conn) => conn.send('x'),
  read: (conn) => conn.readMessage(),
  ping: (conn) => conn.ping(),
};

describe('a callback', () => {
  it('may call any method of its connection, and never runs within itself', async () => {
    const attack = claim('calls of a connection from within its own callbacks', 'CWE-674');
    // The memory of the 20 connections together.
    const bound = { pairs: atLeast(20), depth: atMost(1), memory: 128 * KIB, warmUps: 3 };
    await survives(attack, bound, async () => {
      let pairs = 0;
      let depth = 0;
      for (const [name, install] of Object.entries(CALLBACKS)) {
        for (const act of Object.values(ACTIONS)) {
          const { conn, platform, transport } = targetConn('server');
          let inside = 0;
          let calls = 0;
          install(conn, () => {
            calls++;
            inside++;
            depth = Math.max(depth, inside);
            void act(conn);
            inside--;
          });
          if (name !== 'receive') void conn.discardReads();
          transport.feed(Buffer.concat([FRAMES, CLOSE]));
          await platform.settle();
          if (!transport.ended) transport.feedEnd();
          await platform.advance(30_000);
          transport.break();
          await conn.closed;
          await platform.settle();
          expect(calls).toBeGreaterThan(0);
          expect(platform.timers).toBe(0);
          expect(transport.releasesRun).toBe(transport.releasesGiven);
          pairs++;
        }
      }
      return { pairs, depth };
    });
  });

  it('that throws ends its own connection with 1011, and no other', async () => {
    const broken = new Error('of the application');
    const throws = (): never => {
      throw broken;
    };
    const rejects = (): Promise<never> => Promise.reject(broken);
    const installs: readonly ((conn: Conn, handler: () => Promise<never>) => void)[] = [
      (conn, handler) => void conn.receive(handler),
      (conn, handler) => conn.setPingHandler(handler),
      (conn, handler) => conn.setPongHandler(handler),
      (conn, handler) => conn.setCloseHandler(handler),
    ];
    const attack = claim('a handler that throws or rejects', 'CWE-248');
    await survives(attack, { close: 1011, others: 'others live' }, async () => {
      const codes = new Set<number>();
      const others: string[] = [];
      for (const install of installs) {
        for (const handler of [throws, rejects]) {
          const platform = new FakePlatform();
          const one = targetConn('server', {}, platform);
          const other = targetConn('server', {}, platform);
          install(one.conn, handler);
          if (install !== installs[0]) void one.conn.discardReads();
          const echoed = other.conn.readMessage();
          one.feed(install === installs.at(-1) ? CLOSE : FRAMES);
          other.feed(other.frame(TextMessage, 'still here'));
          // The connection handles a rejection of a handler a turn later.
          await platform.settle();
          await turn();
          await platform.advance(6_000);
          one.transport.break();
          await one.conn.closed;
          codes.add(one.closeCode());
          others.push((await echoed).text());
          expect(other.conn.state).toBe('open');
          await other.end();
        }
      }
      expect(new Set(others)).toEqual(new Set(['still here']));
      return { close: codes.size === 1 ? [...codes][0] : [...codes], others: 'others live' };
    });
  });
});

it('simultaneous calls of different readers clash, and of writers wait in order', async () => {
  // Calls of `readMessage` wait in order; different ways of reading clash. Writers wait with
  // `queue: true`.
  const attack = claim('two readers at once, two writers at once', 'CWE-362');
  await survives(attack, { code: 'WS_ERR_READ_PENDING', writers: 'writers queue' }, async () => {
    const [client, server] = connPair();
    const reads: (() => Promise<unknown>)[] = [
      () => server.readMessage(),
      () => server.readJSON(),
      () => server.nextReader(),
      () => server.receive(() => {}),
      () => server.discardReads(),
    ];
    const codes = new Set<unknown>();
    const first = server.nextReader();
    for (const read of reads.slice(3)) {
      const error = await read().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ReadPendingError);
      codes.add((error as ReadPendingError).code);
    }
    await client.send('first');
    expect(await (await first).text()).toBe('first');
    const received = server.receive((message) => void texts.push(message.text()));
    for (const read of reads) {
      const error = await read().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ReadPendingError);
      codes.add((error as ReadPendingError).code);
    }

    const texts: string[] = [];
    const letters = ['a', 'b', 'c'];
    await Promise.all(
      letters.map(async (letter) => {
        const writer = await client.nextWriter(TextMessage, { queue: true });
        for (let i = 0; i < 3; i++) {
          await writer.write(letter.repeat(5_000));
          void client.send('between');
        }
        await writer.close();
      }),
    );
    await client.close();
    await received;
    const order = texts.filter((text) => text !== 'between').map((text) => text[0]);
    expect(order).toEqual(letters);
    expect(new Set(texts.map(({ length }) => length))).toEqual(new Set([15_000, 'between'.length]));
    expect(texts).toHaveLength(12);
    return { code: [...codes].join(' '), writers: 'writers queue' };
  });
});

const undo: (() => void)[] = [];

/** Replaces a property until the end of the test. */
function patch(target: object, name: string, value: unknown): void {
  const own = Object.getOwnPropertyDescriptor(target, name);
  Object.defineProperty(target, name, { value, configurable: true, writable: true });
  undo.push(() => {
    if (own === undefined) Reflect.deleteProperty(target, name);
    else Object.defineProperty(target, name, own);
  });
}

afterEach(() => {
  for (const each of undo.splice(0).toReversed()) each();
});

describe('an application with patched globals', () => {
  it('receives every byte that was sent, and no other', async () => {
    const random = new Random(141);
    const messages = [0, 1, 125, 126, 5_000, 65_536, 100_000].map((size) =>
      Uint8Array.from({ length: size }, () => random.below(256)),
    );
    const { poolSize } = Buffer;
    const attack = claim('patched globals', 'CWE-471');
    await survives(attack, { faults: 0, warmUps: 3 }, async () => {
      Buffer.poolSize = 1;
      patch(Array.prototype, 'last', function last(this: unknown[]) {
        return this.at(-1);
      });
      patch(Array.prototype, 'push', function push(this: unknown[], ...items: unknown[]) {
        for (const item of items) this[this.length] = item;
        return this.length;
      });
      patch(Object.prototype, 'polluted', 'yes');
      patch(Object.prototype, 'mask', 1);
      const then = Reflect.get(Promise.prototype, 'then');
      patch(Promise.prototype, 'then', function patched(this: Promise<unknown>, ...args: never[]) {
        return Reflect.apply(then, this, args);
      });
      let faults = 0;
      let received = 0;
      const [client, server] = connPair();
      const echo = server.receive((message) => server.send(message));
      for (const message of messages) {
        const sent = message.slice();
        await client.send(sent);
        const answer = await client.readMessage();
        received++;
        if (Buffer.compare(answer.data, message) !== 0) faults++;
      }
      const { code } = await client.close();
      await echo;
      for (const each of undo.splice(0).toReversed()) each();
      Buffer.poolSize = poolSize;
      expect(code).toBe(1000);
      expect(received).toBe(messages.length);
      return { faults };
    });
  });
});
