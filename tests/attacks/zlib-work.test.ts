// Work for zlib: engines that fail, connections that end meanwhile, and too much work at once.
import { inflateRawSync } from 'node:zlib';
import { TextMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import {
  BACKENDS,
  CountingSource,
  closePair,
  KIB,
  MIB,
  pack,
  pairOn,
  SHARED,
  someText,
  TAKEOVER,
  turns,
  until,
  type Wired,
  wiredOn,
} from '../compression/support.ts';
import { naiveDecode, turn } from '../kit/index.ts';
import { nothingLeft, Random } from '../peers/index.ts';
import {
  atLeast,
  atMost,
  claim,
  type Outcome,
  survives,
  type Watch,
  warmUp,
} from './harness/index.ts';
import { closeCodeIn, only, ROLES } from './target-conn.ts';

nothingLeft();

const RSV1 = 0x40;

describe.each(BACKENDS)('zlib on %s', (backend) => {
  const hello = pack('Hello, hello and hello');

  it('closes with 1011 when it fails, and leaves no engine', async () => {
    const failures = ['Z_MEM_ERROR', 'Z_BUF_ERROR'].map((code) =>
      Object.assign(new Error(code), { code, errno: code === 'Z_MEM_ERROR' ? -4 : -5 }),
    );
    const source = new CountingSource(backend);
    // An engine that fails while it writes rejects the write, or sends the message as it is.
    const attack = claim('zlib that fails with Z_MEM_ERROR or Z_BUF_ERROR', 'RFC 6455, 7.4.1');
    await survives(attack, { close: 1011, handles: 'back to base', warmUps: 5 }, async (watch) => {
      const closes = [];
      for (const failure of failures) {
        for (const role of ROLES) {
          // When an engine is created, when a message begins, and within a message.
          for (const when of ['made', 'begun', 'middle']) {
            for (const deflate of [SHARED, TAKEOVER]) {
              const wired = wiredOn(backend, { source, role, deflate });
              const { conn, feed, frame, transport } = wired;
              const received = conn.receive(() => {}).catch((error: unknown) => error);
              const whole = frame(TextMessage, hello, { rsv: RSV1 });
              const half = Math.floor(hello.length / 2);
              if (when === 'begun') feed(whole);
              if (when === 'middle') {
                feed(frame(TextMessage, hello.subarray(0, half), { rsv: RSV1, fin: false }));
              }
              await turns(2);
              source.failure = failure;
              feed(when === 'middle' ? frame(0, hello.subarray(half)) : whole);
              await turns(2);
              closes.push(closeCodeIn(wired.sent()));
              source.failure = undefined;
              transport.break();
              expect(await received).toMatchObject({ code: 'WS_ERR_TRANSPORT', cause: failure });
              await conn.closed;
              watch.sent(2 * whole.length);
            }
          }
        }
      }
      const left = source.inflaters + source.deflaters;
      return { close: only(closes), handles: left === 0 ? 'back to base' : left };
    });
  });

  it('is free for the next connection after the end of one', async () => {
    const source = new CountingSource(backend);
    const large = Buffer.from(someText(new Random(88), 33 * KIB, 'words'));
    const bomb = pack(Buffer.alloc(300 * KIB));
    const cycle = async (i: number, watch: Watch): Promise<number> => {
      const wired = wiredOn(backend, { source, role: ROLES[i % 2]!, maxBufferedAmount: false });
      const { conn, feed, frame, transport } = wired;
      let settled = 0;
      const received = conn.receive(() => {}).catch(() => {});
      const writes = [large, large, 'small'].map((data) =>
        conn.send(data).then(
          () => settled++,
          () => settled++,
        ),
      );
      const long = i % 4 === 0 ? bomb : hello;
      const cut = hello.subarray(0, Math.floor(hello.length / 2));
      feed(frame(TextMessage, long, { rsv: RSV1 }));
      feed(frame(TextMessage, cut, { rsv: RSV1, fin: false }));
      watch.sent(long.length + cut.length);
      if (i % 3 === 0) await turn();
      if (i % 5 === 0) void conn.close().catch(() => {});
      else if (i % 5 === 1) transport.break(new Error('reset'));
      else conn.terminate();
      transport.break();
      await Promise.all(writes);
      await received;
      await conn.closed;
      return settled;
    };
    const attack = async (watch: Watch, cycles: number): Promise<Outcome> => {
      for (let i = 0; i < cycles; i++) expect(await cycle(i, watch)).toBe(3);
      // The engines still work.
      const { client, server } = pairOn(backend, {}, source);
      void client.send(large);
      expect((await server.readMessage()).data.length).toBe(large.length);
      await closePair({ client, server });
      await turns(10);
      // The free engines that a source keeps of each kind.
      const beyond = Math.max(source.inflaters - 8, source.deflaters - 8, 0);
      return { cycles, beyond };
    };
    await warmUp((watch) => attack(watch, 150), 2);
    await survives(
      claim('a connection that ends while zlib runs', 'websockets/ws#1617'),
      { cycles: atLeast(400), beyond: 0 },
      (watch) => attack(watch, 400),
    );
  });

  it('delivers no message after the end of the connection', async () => {
    const source = new CountingSource(backend);
    const large = pack(Buffer.alloc(4 * MIB));
    const attack = claim(
      'a compressed message that is complete after the close',
      'RFC 6455, 5.5.1',
    );
    await survives(attack, { delivered: 0, warmUps: 3 }, async (watch) => {
      let delivered = 0;
      for (const role of ROLES) {
        for (const how of ['close', 'terminate'] as const) {
          for (const whole of [true, false]) {
            const wired = wiredOn(backend, { source, role, readLimit: 16 * MIB });
            const { conn, feed, frame, transport } = wired;
            const count = (): void => void delivered++;
            const reading = whole ? conn.receive(count) : conn.readMessage().then(count);
            const over = reading.catch(() => {});
            const before = source.inflated;
            feed(frame(TextMessage, large, { rsv: RSV1 }));
            feed(frame(TextMessage, hello, { rsv: RSV1 }));
            watch.sent(large.length + hello.length);
            await turn();
            expect(source.inflated - before).toBeLessThan(4 * MIB);
            if (how === 'close') void conn.close(1000, '', { discard: true }).catch(() => {});
            else conn.terminate();
            await turns(3);
            if (how === 'close') feed(frame(8, Uint8Array.of(3, 232)));
            await turns(30);
            transport.break();
            await over;
            await conn.closed;
          }
        }
      }
      return { delivered };
    });
  });
});

describe('a thousand connections that need zlib at once', () => {
  const SOCKETS = 1_000;
  const SIZE = 3 * KIB;

  it('share one, and are answered in order', async () => {
    const source = new CountingSource('handle');
    const texts = Array.from({ length: 2 }, (_, i) =>
      Buffer.from(someText(new Random(90 + i), SIZE, 'words')).subarray(0, SIZE),
    );
    const small = Buffer.from('small');
    const all = Array.from({ length: SOCKETS }, () =>
      wiredOn('handle', { source, compression: { threshold: 0 } }),
    );
    const chunk = ({ frame }: Wired): Buffer =>
      Buffer.concat([...texts, small].map((text) => frame(2, text)));
    const bytes = chunk(all[0]!);
    for (const { conn } of all) conn.receive((message) => conn.send(message)).catch(() => {});
    await turns();
    // The allocations for a connection's first message do not count.
    for (const { transport, frame } of all) transport.feed(frame(2, small));
    await until(() => all.every(({ conn }) => conn.stats.messagesOut === 1));
    await turns();
    for (const { transport } of all) transport.writes.length = 0;
    /** All connections received the same messages. */
    const inOrder = (): string => {
      const wires = new Set(
        all.map(({ transport }) => Buffer.from(transport.sent).toString('latin1')),
      );
      const areSo = [...wires].every((wire) => {
        const frames = naiveDecode(Buffer.from(wire, 'latin1'), 'client', {
          allowedRsv: RSV1,
        }).frames;
        const echoed = frames.map(({ rsv, payload }) => {
          const whole = Buffer.concat([payload, Buffer.from('0000ffff', 'hex')]);
          return rsv === 0 ? payload : inflateRawSync(whole, { finishFlush: 2 });
        });
        const expected = [...texts, small];
        return expected.every((text, i) => text.equals(echoed[i]!)) && echoed.length === 3;
      });
      return areSo ? 'order kept' : 'not in order';
    };
    const attack = claim('1,000 connections that need zlib at the same time', 'websockets/ws#1202');
    // The transports record the echoes of 1,000 connections, up to 4 KiB each.
    const bound = { deflaters: atMost(1), memory: 5_000 * KIB, memoryPerByte: 2, rounds: 1 };
    await survives(attack, bound, async (watch) => {
      for (const [i, { transport }] of all.entries()) {
        transport.sink!.data(Uint8Array.from(bytes));
        watch.sent(bytes.length);
        if (i % 10 === 9) await turn();
      }
      watch.weigh();
      await until(() => all.every(({ conn }) => conn.stats.messagesOut === 4));
      await turns();
      return { deflaters: source.deflaters };
    });
    expect(inOrder()).toBe('order kept');
    for (const { transport } of all) transport.break();
    await Promise.all(all.map(({ conn }) => conn.closed));
  });
});

describe.each(BACKENDS)('three hundred connections on %s', (backend) => {
  const SOCKETS = 300;
  const SIZE = 1_000_000;

  it('inflate one message after the other', async () => {
    const source = new CountingSource(backend);
    const all = Array.from({ length: SOCKETS }, () => wiredOn(backend, { source, readLimit: MIB }));
    let got = 0;
    for (const { conn } of all) {
      conn.receive(({ length }) => void (got += length)).catch(() => {});
    }
    await turns();
    const [wire] = all[0]!.packed(2, pack(Buffer.alloc(SIZE)));
    const attack = claim('300 messages that inflate 1,000 times, in one turn', 'CWE-409');
    // The budget of a turn is 1.25 MiB, and the message that crosses it is finished.
    const bound = { bytesInTurn: atMost(2 * MIB), memory: 20 * MIB, warmUps: 1, rounds: 6 };
    await survives(attack, bound, async (watch) => {
      got = 0;
      let before = 0;
      let bytesInTurn = 0;
      for (const { transport } of all) {
        watch.sent(wire!.length);
        transport.sink!.data(Uint8Array.from(wire!));
      }
      do {
        await turn();
        bytesInTurn = Math.max(bytesInTurn, got - before);
        before = got;
        watch.weigh();
      } while (got < SOCKETS * SIZE);
      return { bytesInTurn };
    });
    for (const { transport } of all) transport.break();
    await Promise.all(all.map(({ conn }) => conn.closed));
  });
});
