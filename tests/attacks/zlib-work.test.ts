// What connections do to the work of zlib: engines that fail, ends in the middle, and more of it than can be done.
import { inflateRawSync } from 'node:zlib';
import { type DeflateJob, TextMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives, type Watch } from '../../src/hostile/index.ts';
import { naiveDecode, turn } from '../../src/index.ts';
import { nothingLeft, Random } from '../../src/peers/index.ts';
import {
  BACKENDS,
  CountingSource,
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
import { only, ROLES, warmUp } from './victim.ts';

const RSV1 = 0x40;

/** Counts jobs more closely: how many run, and what becomes of each. */
class JobSource extends CountingSource {
  /** Jobs that have begun and are not done, and the most there ever were. */
  running = 0;
  mostRunning = 0;
  /** Bytes of messages whose job waits or runs, and the most there ever were. */
  queued = 0;
  mostQueued = 0;
  /** Jobs that came to an end, and ends that were one too many. */
  ended = 0;
  tooMany = 0;

  override deflateLater(
    job: DeflateJob,
    done: (output: Uint8Array | undefined) => void,
  ): () => void {
    let over = false;
    let size = 0;
    const begin = (): Uint8Array | undefined => {
      const bytes = job.begin();
      size = bytes?.length ?? 0;
      this.queued += size;
      this.mostQueued = Math.max(this.mostQueued, this.queued);
      this.mostRunning = Math.max(this.mostRunning, ++this.running);
      return bytes;
    };
    const end = (): void => {
      if (over) this.tooMany++;
      else this.ended++;
      over = true;
      if (size > 0) this.running--;
      this.queued -= size;
      size = 0;
    };
    const cancel = super.deflateLater({ ...job, begin }, (output) => {
      end();
      done(output);
    });
    return () => {
      if (!over) end();
      cancel();
    };
  }
}

/** The code of our close frame. */
function closeCode({ sent }: Wired): number {
  const close = sent().find(({ opcode }) => opcode === 8);
  return close === undefined ? 0 : Buffer.from(close.payload).readUInt16BE(0);
}

describe.each(BACKENDS)('zlib on %s', (backend) => {
  nothingLeft();

  const hello = pack('Hello, hello and hello');

  it('that fails closes with 1011, and leaves no engine', async () => {
    const failures = ['Z_MEM_ERROR', 'Z_BUF_ERROR'].map((code) =>
      Object.assign(new Error(code), { code, errno: code === 'Z_MEM_ERROR' ? -4 : -5 }),
    );
    const source = new CountingSource(backend);
    const attack = async (watch: Watch): Promise<Outcome> => {
      const closes = [];
      for (const failure of failures) {
        for (const role of ROLES) {
          // When an engine is made, when a message begins, and in the middle of it.
          for (const when of ['made', 'begun', 'middle']) {
            for (const deflate of [SHARED, TAKEOVER]) {
              const wired = wiredOn(backend, { source, role, deflate });
              const { conn, feed, frame, transport } = wired;
              const received = conn.receive(() => {}).catch((error: unknown) => error);
              const whole = frame(TextMessage, hello, { rsv: RSV1 });
              const half = hello.length >> 1;
              if (when === 'begun') feed(whole);
              if (when === 'middle') {
                feed(frame(TextMessage, hello.subarray(0, half), { rsv: RSV1, fin: false }));
              }
              await turns(2);
              source.failure = failure;
              feed(when === 'middle' ? frame(0, hello.subarray(half)) : whole);
              await turns(2);
              closes.push(closeCode(wired));
              source.failure = undefined;
              transport.break();
              expect(await received).toBe(failure);
              await conn.closed;
              watch.sent(2 * whole.length);
            }
          }
        }
      }
      const left = source.inflaters + source.deflaters;
      return { close: only(closes), handles: left === 0 ? 'back to base' : left };
    };
    await warmUp(attack, 5);
    await survives(87, attack);
  });

  it('whose connection ends is free for the next one', async () => {
    const source = new JobSource(backend);
    const large = Buffer.from(someText(new Random(88), 33 * KIB, 'words'));
    const bomb = pack(Buffer.alloc(300 * KIB));
    const cycle = async (i: number, watch: Watch): Promise<number> => {
      const wired = wiredOn(backend, { source, role: ROLES[i & 1]!, maxBufferedAmount: false });
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
      const cut = hello.subarray(0, hello.length >> 1);
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
      const before = source.ended;
      for (let i = 0; i < cycles; i++) expect(await cycle(i, watch)).toBe(3);
      expect(source.ended - before).toBeGreaterThanOrEqual(cycles);
      // The limiter takes more, and does it.
      const { client, server } = pairOn(backend, {}, source);
      void client.send(large);
      expect((await server.readMessage()).data.length).toBe(large.length);
      await client.close();
      await until(() => source.pending === 0);
      await turns(10);
      return { cycles, stuck: source.pending + source.running, again: source.tooMany };
    };
    await warmUp((watch) => attack(watch, 150), 2);
    await survives(88, (watch) => attack(watch, 1_000));
  }, 30_000);

  it('that is done with a message after the end gives it to nobody', async () => {
    const source = new CountingSource(backend);
    const large = pack(Buffer.alloc(4 * MIB));
    const attack = async (watch: Watch): Promise<Outcome> => {
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
            // It is under way.
            expect(source.inflated - before).toBeLessThan(4 * MIB);
            if (how === 'close') void conn.close().catch(() => {});
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
    };
    await warmUp(attack, 3);
    await survives(89, attack);
  });
});

describe('five thousand connections that have zlib work at once', () => {
  nothingLeft();

  const SOCKETS = 5_000;
  const SIZE = 3 * KIB;

  it('wait for each other, and read no more meanwhile', async () => {
    const source = new JobSource('handle');
    const texts = Array.from({ length: 3 }, (_, i) =>
      Buffer.from(someText(new Random(90 + i), SIZE, 'words')).subarray(0, SIZE),
    );
    const small = Buffer.from('small');
    const all = Array.from({ length: SOCKETS }, () =>
      wiredOn('handle', { source, compression: { threshold: 0, asyncDeflateThreshold: SIZE - 1 } }),
    );
    const chunk = ({ frame }: Wired): Buffer =>
      Buffer.concat([...texts, small].map((text) => frame(2, text)));
    // Each is sent to all of them.
    const bytes = chunk(all[0]!);
    for (const { conn } of all) conn.receive((message) => conn.send(message)).catch(() => {});
    await turns();
    // What a connection takes for its first message is no cost of the rest.
    for (const { transport, frame } of all) transport.feed(frame(2, small));
    await until(() => all.every(({ conn }) => conn.stats.messagesOut === 1));
    await turns();
    for (const { transport } of all) transport.writes.length = 0;
    const attack = async (watch: Watch): Promise<Outcome> => {
      let most = 0;
      for (const [i, { transport }] of all.entries()) {
        transport.sink!.data(Uint8Array.from(bytes));
        watch.sent(bytes.length);
        if (i % 10 === 9) {
          await turn();
          most = Math.max(most, source.pending);
        }
      }
      watch.weigh();
      most = Math.max(most, source.pending);
      await until(() => all.every(({ conn }) => conn.stats.messagesOut === 5));
      await turns();
      return { jobs: source.mostRunning, queue: most * SIZE };
    };
    /** All were asked the same. */
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
        return expected.every((text, i) => text.equals(echoed[i]!)) && echoed.length === 4;
      });
      return areSo ? 'order kept' : 'not in order';
    };
    await survives(90, attack, { rounds: 1 });
    expect(source.jobs).toBe(texts.length * SOCKETS);
    expect(inOrder()).toBe('order kept');
    for (const { transport } of all) transport.break();
    await Promise.all(all.map(({ conn }) => conn.closed));
  }, 30_000);
});
