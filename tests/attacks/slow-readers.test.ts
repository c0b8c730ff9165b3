import { BackpressureError, broadcast, Conn, PreparedMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { FakePlatform, turn } from '../kit/index.ts';
import { MemoryWire } from '../pool-poison/memory-wire.ts';
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
import { frame, only, ROLES, targetConn } from './target-conn.ts';

/** Bytes for a peer that reads nothing. */
const ALL = 100 * MIB;

/** Returns a connection on a wire that keeps no sent bytes. */
function wired(
  role: 'server' | 'client',
  platform: FakePlatform,
): { conn: Conn; wire: MemoryWire } {
  const wire = new MemoryWire();
  return { conn: new Conn(wire, { role, platform, heartbeat: false }), wire };
}

it.each([
  ['100 bytes', 100, 20 * MIB],
  ['1 KiB', KIB, 20 * MIB],
  ['64 KiB', 64 * KIB, ALL],
  ['1 MiB', MIB, ALL],
])('a peer that reads nothing makes writes of %s wait, and then fail', async (_, size, most) => {
  const message = Buffer.alloc(size, 'm');
  const platform = new FakePlatform();
  const attack = async (watch: Watch, all = most): Promise<Outcome> => {
    let beyond = 0;
    const waits = [];
    for (const role of ROLES) {
      const { conn, wire } = wired(role, platform);
      wire.holds = true;
      let settled = 0;
      let waited = -1;
      const refused = new Set<unknown>();
      const refuse = (error: Error): unknown => refused.add(error.constructor);
      for (let i = 0; i < all / size; i++) {
        const write = conn.send(message);
        if (waited < 0) {
          write.then(
            () => settled++,
            () => {},
          );
          await platform.settle();
          if (settled <= i) waited = conn.bufferedAmount;
        } else if (i % 100 === 0 || size === MIB) {
          write.catch(refuse);
          await turn();
        }
        beyond = Math.max(beyond, conn.bufferedAmount - size);
      }
      watch.weigh();
      if (all === most) expect([...refused]).toEqual([BackpressureError]);
      waits.push(
        waited <= 64 * KIB + 2 * (size + 14) ? 'write waits at 64 KiB' : `waits at ${waited}`,
      );
      conn.terminate();
      await conn.closed;
    }
    return { waits: only(waits), beyondMessage: beyond };
  };
  await warmUp((watch) => attack(watch, 100 * KIB + 2 * size), 5);
  await survives(
    claim('a peer that reads nothing of 100 MiB', 'CWE-770'),
    {
      waits: 'write waits at 64 KiB',
      beyondMessage: atMost(16 * MIB),
      // The limit of 16 MiB, a message of up to 1 MiB, 1 MiB of slabs, and the free slabs that the
      // pool keeps for the other role.
      memory: 20.5 * MIB,
    },
    attack,
  );
});

describe('a peer that reads nothing, in a crowd', () => {
  it('delays no other peer, and holds no copy of a shared message', async () => {
    const COUNT = 1_000;
    const platform = new FakePlatform();
    const small = new PreparedMessage(2, Buffer.alloc(KIB));
    const large = new PreparedMessage(2, Buffer.alloc(MIB));
    const crowd = Array.from({ length: COUNT }, () => wired('server', platform));
    const conns = crowd.map(({ conn }) => conn);
    const leave = (): void => {
      for (const { wire } of crowd) wire.leave();
    };
    /** Returns the turns until 99 % of the others have the whole message. */
    const turnsOf = async (message: PreparedMessage, stalled: boolean): Promise<number> => {
      crowd[0]!.wire.holds = stalled;
      const before = conns.map(({ stats }) => stats.messagesOut);
      const got = new Map<number, number>();
      for (const [i, { wire }] of crowd.entries()) {
        wire.onBytes = () => void got.set(i, turns);
      }
      let turns = 0;
      expect(broadcast(conns, message)).toBe(COUNT);
      while (got.size < COUNT - 1) {
        turns++;
        platform.runDeferred();
        leave();
        await turn();
      }
      expect(conns.every(({ stats }, i) => stats.messagesOut === before[i]! + 1)).toBe(true);
      crowd[0]!.wire.holds = false;
      leave();
      await platform.settle();
      return [...got.values()].toSorted((a, b) => a - b)[Math.floor(COUNT * 0.99)]!;
    };
    // The wait of the others is counted in turns of the event loop.
    await survives(
      claim('one stalled reader in a broadcast to 1,000', 'CWE-400'),
      {
        p99: lowestAtMost(1.2),
        // The write sides of 1,000 connections, 3 KiB each. The shared bytes count once.
        memory: 4 * MIB,
        // One turn hands a message to 1,000 connections and takes it at their other ends.
        warmUps: 3,
      },
      async (watch) => {
        let p99 = 0;
        for (const message of [small, large]) {
          p99 = Math.max(p99, (await turnsOf(message, true)) / (await turnsOf(message, false)));
        }
        // No peer reads: the shared message exists once.
        for (const { wire } of crowd) wire.holds = true;
        broadcast(conns, large);
        await platform.settle();
        watch.weigh();
        expect(conns.every(({ bufferedAmount }) => bufferedAmount > MIB)).toBe(true);
        for (const { wire } of crowd) wire.holds = false;
        leave();
        await platform.settle();
        return { p99 };
      },
    );
    for (const conn of conns) conn.terminate();
  });
});

describe('a peer that reads a byte a second', () => {
  it('is ended by a write deadline only, while it sends pongs', async () => {
    await survives(
      claim('a peer that reads one byte a second', 'CWE-400'),
      {
        // The test counts whole seconds, and timers have ticks of 64 ms.
        seconds: atMost(31),
        least: atLeast(30),
        off: 'open',
        warmUps: 3,
      },
      async () => {
        const seconds = [];
        const off = [];
        for (const role of ROLES) {
          for (const deadline of [30_000, undefined]) {
            const beats = { interval: 20_000, timeout: 20_000 };
            const { conn, platform, transport, end } = targetConn(role, { heartbeat: beats });
            conn.receive(() => {}).catch(() => {});
            // A socket of Node takes a whole chunk, so single bytes have no effect on it.
            transport.block();
            void conn.send('going');
            await platform.settle();
            const write = conn.send(Buffer.alloc(60_000)).catch((error: unknown) => error);
            if (deadline !== undefined) conn.setWriteDeadline(Date.now() + deadline);
            let s = 0;
            while (!transport.destroyed && s < 120) {
              s++;
              await platform.advance(1_000);
              if (!transport.destroyed) transport.feed(frame(role, 10, ''));
            }
            if (deadline === undefined) off.push(conn.state);
            else {
              seconds.push(s);
              expect(String((await conn.closed).error)).toMatch(/^TimeoutError/);
            }
            await end();
            await write;
          }
        }
        return { seconds: Math.max(...seconds), least: Math.min(...seconds), off: only(off) };
      },
    );
  });
});

it('control frames after a full queue are queued: the newest pong, and the close', async () => {
  const ping = 'p'.repeat(125);
  const message = Buffer.alloc(64 * KIB);
  const platform = new FakePlatform();
  const attack = claim('pings and a close while the send queue is full', 'RFC 6455, 5.5');
  // A client masks its close frame: 4 bytes more.
  // The full queue of 16 MiB, and its slabs.
  const bound = {
    queued: 'pong and close',
    server: atMost(258),
    client: atMost(262),
    memory: 18 * MIB,
    rounds: 1,
    warmUps: 2,
  };
  await survives(attack, bound, async (watch) => {
    const extra = [];
    const queued = [];
    for (const role of ROLES) {
      const { conn, wire } = wired(role, platform);
      const size = role === 'server' ? 127 : 131;
      let bytes = 0;
      // The last two frames: they can follow a message in the same chunk.
      let tail = Buffer.alloc(0);
      wire.onBytes = (chunk) => {
        bytes += chunk.length;
        tail = Buffer.concat([tail, chunk.subarray(-2 * size)]).subarray(-2 * size);
      };
      conn.receive(() => {}).catch(() => {});
      wire.holds = true;
      while (conn.bufferedAmount + 2 * message.length < 16 * MIB) {
        void conn.send(message);
        await platform.settle();
      }
      const full = conn.bufferedAmount;
      for (let i = 0; i < 100; i++) {
        wire.feed(Buffer.concat(Array.from({ length: 10 }, () => frame(role, 9, ping))));
      }
      await platform.settle();
      void conn.close(4000, 'r'.repeat(123));
      watch.weigh();
      wire.holds = false;
      for (let i = 0; i < 1_000 && bytes < full; i++) {
        wire.leave();
        await platform.settle();
      }
      wire.leave();
      await platform.settle();
      extra.push(bytes - full);
      const isQueued = tail[0] === 0x8a && tail[size] === 0x88;
      queued.push(isQueued ? 'pong and close' : tail.toString('hex'));
      conn.terminate();
      await conn.closed;
      await turn();
    }
    return { queued: only(queued), server: extra[0], client: extra[1] };
  });
});
