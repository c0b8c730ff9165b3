// Memory that is lent to one connection after the other.
import { MessageBuffers, SlabPool, sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import type { BorrowedMessage, Conn, Message } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives, type Watch } from '../../src/hostile/index.ts';
import { FakeHost, turn } from '../../src/index.ts';
import { fillPools, traffic } from '../canaries/traffic.ts';
import { frame, ROLES, victim, warmUp } from './victim.ts';

const KIB = 1024;
const CROWD = 10_000;

/** What an error says in place of a value, or nothing. */
function thrown(run: () => unknown): string {
  try {
    run();
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('pooled memory', () => {
  it('shows nothing of what was in it before', async () => {
    const attack = async (_watch: Watch, frames = 20_000): Promise<Outcome> => {
      fillPools();
      const seen = await traffic(frames, 0xca9a);
      expect(seen.found).toEqual([]);
      return { hits: seen.hits, frames: seen.frames };
    };
    await warmUp((watch) => attack(watch, 5_000), 2);
    await survives(111, attack, { rounds: 1 });
  }, 30_000);

  it('is poisoned where pools debug, and a late write to it is found', async () => {
    const attack = async (): Promise<Outcome> => {
      const pool = new SlabPool({ debug: true });
      const slab = pool.take(100);
      slab.bytes.fill(1);
      const view = slab.bytes.subarray(10, 20);
      slab.release();
      const poison = new Set(view);
      view[3] = 1;
      const late = thrown(() => pool.take(100));

      const buffers = new MessageBuffers({ debug: true, simd: false });
      const buffer = buffers.take(5_000);
      buffers.give(buffer);
      for (const byte of buffer) poison.add(byte);
      buffer[0] = 1;
      const lateMessage = thrown(() => buffers.take(5_000));
      const tells = [late, lateMessage].every((text) => text.includes('written to after'));

      // A message that was only lent, debug mode or not.
      const { conn, host, feed, end } = victim('server');
      let lent: BorrowedMessage | undefined;
      conn
        .receive((message) => {
          lent = message;
        })
        .catch(() => {});
      feed(frame('server', 2, 'lent'));
      await host.settle();
      expect(thrown(() => lent!.data)).toContain('used after its handler was done');
      await end();
      return {
        poison: [...poison].map((byte) => `0x${byte.toString(16).toUpperCase()}`).join(),
        late: tells ? 'throws' : 'is silent',
      };
    };
    await warmUp(attack);
    await survives(112, attack);
  });

  it('that is given back twice, or is none of its own, is told in debug mode and harms nobody', async () => {
    const attack = (): Outcome => {
      const watched = new SlabPool({ debug: true });
      const first = watched.take(100);
      first.release();
      const twice = thrown(() => first.release());

      const pool = new SlabPool({ debug: false });
      const slab = pool.take(100);
      slab.release();
      const silent = thrown(() => slab.release());
      const [one, two] = [pool.take(100), pool.take(100)];
      expect([one.bytes === two.bytes, pool.lent]).toEqual([false, 2]);
      one.release();
      two.release();

      const refusals = [true, false].map((debug) => {
        const buffers = new MessageBuffers({ debug });
        const buffer = buffers.take(5_000);
        buffers.give(buffer);
        const again = thrown(() => buffers.give(buffer));
        const foreign = thrown(() => buffers.give(new Uint8Array(8_192)));
        const [three, four] = [buffers.take(5_000), buffers.take(5_000)];
        expect([three === four, buffers.lent]).toEqual([false, 2]);
        const part = thrown(() => buffers.give(three.subarray(1)));
        buffers.give(three);
        buffers.give(four);
        return again !== '' && foreign !== '' && part !== '';
      });
      return {
        debug: twice.includes('released twice') && refusals[0] ? 'Throws' : 'is silent',
        production: silent === '' && refusals[1] ? 'safe' : 'unsafe',
      };
    };
    await warmUp(attack);
    await survives(113, attack);
  });

  it('is not held by an idle connection, and hardly more than a message by its reader', async () => {
    const host = new FakeHost();
    const small = Buffer.alloc(10, 's');
    const streams = ROLES.map((role) =>
      Buffer.concat(
        Array.from({ length: 20 }, () => [
          frame(role, 2, small),
          frame(role, 2, Buffer.alloc(60 * KIB)),
        ]).flat(),
      ),
    );
    const larges = ROLES.map((role) => frame(role, 2, Buffer.alloc(60 * KIB)));
    const attack = async (watch: Watch): Promise<Outcome> => {
      const conns: Conn[] = [];
      const ends: (() => Promise<void>)[] = [];
      const kept: Message[] = [];
      for (let i = 0; i < 20; i++) {
        const role = ROLES[i % 2]!;
        const { conn, feed, transport, end } = victim(role, {}, host);
        conns.push(conn);
        ends.push(end);
        const stream = streams[i % 2]!;
        feed(stream);
        for (let n = 0; n < 40; n++) {
          const message = await conn.readMessage();
          if (message.data.length === small.length) kept.push(message);
          await turn();
        }
        // A pong that it answered with, a ping of its own, a message under a mask.
        feed(frame(role, 9, 'p'.repeat(125)));
        conn.ping('q'.repeat(125)).catch(() => {});
        void conn.send(Buffer.alloc(3_000));
        await host.settle();
        // Each is the end of a large chunk.
        const large = larges[i % 2]!;
        feed(large, frame(role, 10, 'q'.repeat(125)));
        await conn.readMessage();
        await host.settle();
        transport.takeSent();
        // Of the other ones, a close frame with a reason is the last thing heard.
        if (i % 4 > 1) {
          feed(large, frame(role, 8, Buffer.concat([Buffer.of(3, 232), Buffer.alloc(123, 'r')])));
          await conn.readMessage();
        }
        await host.settle();
      }
      await turn();
      watch.weigh();
      const slabs = sharedSlabPool().lent + sharedMessageBuffers().lent;
      const buffers = new Set(kept.map(({ data }) => data.buffer));
      let held = 0;
      for (const { byteLength } of buffers) held += byteLength;
      const ratio = held / (kept.length * small.length);
      expect(kept.every(({ data }) => Buffer.from(data).equals(small))).toBe(true);
      expect(kept.length).toBe(400);
      for (const end of ends) await end();
      return { slabs, ratio };
    };
    await warmUp(attack, 3);
    await survives(116, attack, { rounds: 2 });
  }, 30_000);

  it('shrinks when a crowd has been served', async () => {
    const host = new FakeHost();
    const crowd = Array.from({ length: CROWD }, () => victim('server', {}, host));
    for (const { conn } of crowd) conn.receive(() => {}).catch(() => {});
    await host.settle();
    const data = Buffer.alloc(3_000);
    // Half of a message of 6 kB, which is assembled, and the rest of it.
    const whole = frame('server', 2, Buffer.alloc(6_000));
    const [half, rest] = [whole.subarray(0, 5_000), whole.subarray(5_000)];
    const step = async (act: (one: (typeof crowd)[number]) => unknown): Promise<void> => {
      for (let i = 0; i < CROWD; i++) {
        act(crowd[i]!);
        if (i % 25 < 24) continue;
        await host.settle();
        await turn();
      }
    };
    const attack = async (): Promise<Outcome> => {
      await step(({ conn, transport }) => {
        transport.block();
        void conn.send(data);
      });
      await step(({ feed }) => feed(half));
      const burst = sharedSlabPool().lent + sharedMessageBuffers().lent;
      await step(({ feed }) => feed(rest));
      await step(({ transport }) => {
        transport.drain();
        transport.takeSent();
      });
      const lent = sharedSlabPool().lent + sharedMessageBuffers().lent;
      const kept = sharedSlabPool().freeBytes + sharedMessageBuffers().freeBytes;
      return { burst, lent, kept };
    };
    await survives(118, attack, { rounds: 2 });
    await step(({ conn }) => conn.terminate());
  }, 60_000);
});
