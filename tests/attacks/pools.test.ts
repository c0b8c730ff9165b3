// Memory that connections lease one after another.
import { MessageBuffers, SlabPool, sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import type { BorrowedMessage, Conn, Message } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { FakePlatform, turn } from '../kit/index.ts';
import { fillPools, traffic } from '../pool-poison/traffic.ts';
import {
  atLeast,
  atMost,
  claim,
  KIB,
  lowestAtMost,
  MIB,
  type Outcome,
  survives,
  type Watch,
  warmUp,
} from './harness/index.ts';
import { frame, ROLES, targetConn } from './target-conn.ts';

const CROWD = 3_000;

/** Returns the message of the error, or an empty string. */
function thrown(run: () => unknown): string {
  try {
    run();
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('pooled memory', () => {
  it('shows none of its earlier content', async () => {
    const attack = async (_watch: Watch, frames = 20_000): Promise<Outcome> => {
      fillPools();
      const seen = await traffic(frames, 0xca9a);
      expect(seen.found).toEqual([]);
      return { hits: seen.hits, frames: seen.frames };
    };
    await warmUp((watch) => attack(watch, 5_000), 2);
    await survives(
      claim('payloads, errors and aborted writes from filled pools', 'CWE-201'),
      {
        hits: 0,
        // `tests/pool-poison` sends 10^6 frames in memory and 10^5 over sockets.
        frames: atLeast(20_000),
        // The pools are filled first: they keep up to 8 MiB.
        memory: 8 * MIB,
        // 28 connections act in one turn, and the test scans all sent bytes in another.
        rounds: 1,
      },
      attack,
    );
  });

  it('is poisoned in debug mode, and a late write to it is found', async () => {
    const attack = claim('use of pooled memory after its release', 'CWE-416');
    await survives(attack, { poison: '0xDB', late: 'throws', warmUps: 10 }, async () => {
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

      // A message that was only borrowed, in debug mode or not.
      const { conn, platform, feed, end } = targetConn('server');
      let lent: BorrowedMessage | undefined;
      conn
        .receive((message) => {
          lent = message;
        })
        .catch(() => {});
      feed(frame('server', 2, 'lent'));
      await platform.settle();
      expect(thrown(() => lent!.borrow())).toContain('used after its handler was done');
      await end();
      return {
        poison: [...poison].map((byte) => `0x${byte.toString(16).toUpperCase()}`).join(),
        late: tells ? 'throws' : 'is silent',
      };
    });
  });

  it('throws in debug mode if it is released twice or foreign, and stays intact otherwise', async () => {
    // A slab ignores a second release. Message buffers refuse memory that is not lent, with an
    // error, also in production.
    const attack = claim('a second release, and a release of foreign memory', 'CWE-415');
    await survives(attack, { debug: 'Throws', production: 'safe', warmUps: 10 }, () => {
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
    });
  });

  it('is not held by an idle connection, and a kept message holds little more than itself', async () => {
    const platform = new FakePlatform();
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
    // Messages of up to 64 bytes own their memory. Larger ones that are read in a row may share
    // a block of up to 8 times the bytes of each, and 16 KiB.
    await survives(
      claim('small messages that keep large buffers alive', 'CWE-401'),
      {
        slabs: 0,
        ratio: lowestAtMost(4),
        // 20 connections with sockets, and 400 messages of up to 1 KiB. A slab for each connection
        // would be 1.25 MiB, one for each message 25 MiB.
        memory: 512 * KIB,
        rounds: 2,
        warmUps: 3,
      },
      async (watch) => {
        const conns: Conn[] = [];
        const ends: (() => Promise<void>)[] = [];
        const kept: Message[] = [];
        for (let i = 0; i < 20; i++) {
          const role = ROLES[i % 2]!;
          const { conn, feed, transport, end } = targetConn(role, {}, platform);
          conns.push(conn);
          ends.push(end);
          const stream = streams[i % 2]!;
          feed(stream);
          for (let n = 0; n < 40; n++) {
            const message = await conn.readMessage();
            if (message.data.length === small.length) kept.push(message);
            await turn();
          }
          // The connection answers with a pong, sends a ping, and masks a message.
          feed(frame(role, 9, 'p'.repeat(125)));
          conn.ping('q'.repeat(125)).catch(() => {});
          void conn.send(Buffer.alloc(3_000));
          await platform.settle();
          // Each is the end of a large chunk.
          const large = larges[i % 2]!;
          feed(large, frame(role, 10, 'q'.repeat(125)));
          await conn.readMessage();
          await platform.settle();
          transport.takeSent();
          // Half of the connections last receive a close frame with a reason.
          if (i % 4 > 1) {
            feed(large, frame(role, 8, Buffer.concat([Buffer.of(3, 232), Buffer.alloc(123, 'r')])));
            await conn.readMessage();
          }
          await platform.settle();
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
      },
    );
  });

  it('shrinks after a crowd has left', async () => {
    const platform = new FakePlatform();
    const crowd = Array.from({ length: CROWD }, () => targetConn('server', {}, platform));
    for (const { conn } of crowd) conn.receive(() => {}).catch(() => {});
    await platform.settle();
    const data = Buffer.alloc(3_000);
    // The two parts of an assembled message of 6 kB.
    const whole = frame('server', 2, Buffer.alloc(6_000));
    const [half, rest] = [whole.subarray(0, 5_000), whole.subarray(5_000)];
    const step = async (act: (one: (typeof crowd)[number]) => unknown): Promise<void> => {
      for (let i = 0; i < CROWD; i++) {
        act(crowd[i]!);
        if (i % 25 < 24) continue;
        await platform.settle();
        await turn();
      }
    };
    await survives(
      claim('a burst of 3,000 connections, then silence', 'CWE-401'),
      {
        burst: atLeast(3_000),
        lent: 0,
        // Slabs keep 2.5 MiB, and message buffers 8 MiB, so that a message of 4 MiB finds its
        // memory again.
        kept: atMost(11_010_048),
        memory: 12 * MIB,
        rounds: 2,
      },
      async () => {
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
      },
    );
    await step(({ conn }) => conn.terminate());
  });
});
