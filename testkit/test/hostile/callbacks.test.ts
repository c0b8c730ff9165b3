import { parseCloseMessage } from '@ws/codec';
import {
  CloseMessage,
  Conn,
  connPair,
  formatCloseMessage,
  PingMessage,
  PongMessage,
  ReadPendingError,
  TextMessage,
} from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { FakeHost, turn } from '../../src/fake-host.ts';
import { survives } from '../../src/hostile/index.ts';
import { naiveDecode } from '../../src/naive-decoder.ts';
import { naiveEncode } from '../../src/naive-encoder.ts';
import { TestTransport } from '../../src/test-transport.ts';
import { warm } from './warm.ts';

const KEY = { mask: 0x01020304 };
const frame = (opcode: number, payload: string | Uint8Array = ''): Uint8Array =>
  naiveEncode(opcode, Buffer.from(payload as string), KEY);

/** One of each kind of frame that a callback is for, twice. */
const FRAMES = Buffer.concat(
  [PingMessage, PongMessage, TextMessage].flatMap((opcode) => [
    frame(opcode, 'a'),
    frame(opcode, 'b'),
  ]),
);
const CLOSE = frame(CloseMessage, formatCloseMessage(1000));

type Run = () => unknown;

/** Where an application's code is called from within ours. */
const CALLBACKS: Readonly<Record<string, (conn: Conn, run: Run) => void>> = {
  receive: (conn, run) => void conn.receive(() => void run()),
  ping: (conn, run) => conn.setPingHandler(() => void run()),
  pong: (conn, run) => conn.setPongHandler(() => void run()),
  close: (conn, run) => conn.setCloseHandler(() => void run()),
  schema: (conn, run) => {
    const validate = (value: unknown) => {
      run();
      return { value };
    };
    const schema = { '~standard': { version: 1, vendor: 'test', validate } } as const;
    // The first text is no JSON, the second one is read by the callback or by nobody.
    void conn.readJSON({ schema }).then(run, run);
  },
};

/** What it does there. */
const ACTIONS: Readonly<Record<string, (conn: Conn) => unknown>> = {
  close: (conn) => conn.close(),
  terminate: (conn) => conn.terminate(),
  write: (conn) => conn.send('x'),
  read: (conn) => conn.readMessage(),
  ping: (conn) => conn.ping(),
};

describe('a callback', () => {
  it('may do whatever it likes to its connection, and is never called within itself', async () => {
    await survives(
      124,
      await warm(async () => {
        let pairs = 0;
        let depth = 0;
        for (const [name, install] of Object.entries(CALLBACKS)) {
          for (const act of Object.values(ACTIONS)) {
            const host = new FakeHost();
            const transport = new TestTransport();
            const conn = new Conn(transport, { role: 'server', host, heartbeat: false });
            let inside = 0;
            let calls = 0;
            install(conn, () => {
              calls++;
              inside++;
              depth = Math.max(depth, inside);
              void act(conn);
              inside--;
            });
            if (!['receive', 'schema'].includes(name)) void conn.discardReads();
            transport.feed(Buffer.concat([FRAMES, CLOSE]));
            await host.settle();
            if (!transport.ended) transport.feedEnd();
            await host.advance(30_000);
            transport.break();
            await conn.closed;
            await host.settle();
            expect(calls).toBeGreaterThan(0);
            expect(host.timers).toBe(0);
            expect(transport.releasesRun).toBe(transport.releasesGiven);
            pairs++;
          }
        }
        return { pairs, depth };
      }, 3),
    );
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
    await survives(126, async () => {
      const codes = new Set<number>();
      const others: string[] = [];
      for (const install of installs) {
        for (const handler of [throws, rejects]) {
          const host = new FakeHost();
          const one = new TestTransport();
          const other = new TestTransport();
          const conn = new Conn(one, { role: 'server', host, heartbeat: false });
          const neighbour = new Conn(other, { role: 'server', host, heartbeat: false });
          install(conn, handler);
          if (install !== installs[0]) void conn.discardReads();
          const echoed = neighbour.readMessage();
          one.feed(install === installs.at(-1) ? CLOSE : FRAMES);
          other.feed(frame(TextMessage, 'still here'));
          // What a handler rejects with is heard of in turns of its own.
          await host.settle();
          await turn();
          await host.advance(6_000);
          one.break();
          await conn.closed;
          const sent = naiveDecode(one.sent, 'client').frames;
          const close = sent.find(({ opcode }) => opcode === CloseMessage);
          codes.add(parseCloseMessage(close!.payload).code);
          others.push((await echoed).text());
          expect(neighbour.state).toBe('open');
          other.break();
          await neighbour.closed;
        }
      }
      expect(new Set(others)).toEqual(new Set(['still here']));
      return { close: codes.size === 1 ? [...codes][0] : [...codes], others: 'others live' };
    });
  });
});

describe('two at once', () => {
  it('of readers clash, and of writers take turns', async () => {
    await survives(125, async () => {
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
      expect(new Set(texts.map(({ length }) => length))).toEqual(
        new Set([15_000, 'between'.length]),
      );
      expect(texts).toHaveLength(12);
      return { code: [...codes].join(' '), writers: 'writers queue' };
    });
  });
});
