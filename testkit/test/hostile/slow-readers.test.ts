// Peers that do not read, or hardly, while we have much to say.
import { BackpressureError, broadcast, Conn, PreparedMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives, type Watch } from '../../src/hostile/index.ts';
import { FakeHost, turn } from '../../src/index.ts';
import { MemoryWire } from '../canaries/memory-wire.ts';
import { frame, only, ROLES, victim, warmUp } from './victim.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** What is sent to a peer that reads nothing. */
const ALL = 100 * MIB;

/** A Conn whose socket is a wire that keeps nothing of what has left. */
function wired(role: 'server' | 'client', host: FakeHost): { conn: Conn; wire: MemoryWire } {
  const wire = new MemoryWire();
  return { conn: new Conn(wire, { role, host, heartbeat: false }), wire };
}

describe('a peer that reads nothing', () => {
  it.each([
    ['100 bytes', 100, 20 * MIB],
    ['1 KiB', KIB, ALL],
    ['64 KiB', 64 * KIB, ALL],
    ['1 MiB', MIB, ALL],
  ])(
    'makes writes of %s wait, and has them refused in the end',
    async (_, size, most) => {
      const message = Buffer.alloc(size, 'm');
      const host = new FakeHost();
      const attack = async (watch: Watch, all = most): Promise<Outcome> => {
        let beyond = 0;
        const waits = [];
        for (const role of ROLES) {
          const { conn, wire } = wired(role, host);
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
              await host.settle();
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
        return { waits: only(waits), 'beyond a message': beyond };
      };
      await warmUp((watch) => attack(watch, 100 * KIB + 2 * size), 5);
      await survives(107, attack);
    },
    30_000,
  );
});

describe('a peer that reads nothing, in a crowd', () => {
  it('delays nobody, and holds no bytes of its own of what all are sent', async () => {
    const COUNT = 1_000;
    const host = new FakeHost();
    const small = new PreparedMessage(2, Buffer.alloc(KIB));
    const large = new PreparedMessage(2, Buffer.alloc(MIB));
    const crowd = Array.from({ length: COUNT }, () => wired('server', host));
    const conns = crowd.map(({ conn }) => conn);
    const leave = (): void => {
      for (const { wire } of crowd) wire.leave();
    };
    /** In how many turns each of the others has all of it. */
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
        host.runDeferred();
        leave();
        await turn();
      }
      expect(conns.every(({ stats }, i) => stats.messagesOut === before[i]! + 1)).toBe(true);
      crowd[0]!.wire.holds = false;
      leave();
      await host.settle();
      return [...got.values()].toSorted((a, b) => a - b)[Math.floor(COUNT * 0.99)]!;
    };
    const attack = async (watch: Watch): Promise<Outcome> => {
      let p99 = 0;
      for (const message of [small, large]) {
        p99 = Math.max(p99, (await turnsOf(message, true)) / (await turnsOf(message, false)));
      }
      // Nobody reads: what all wait for is there once.
      for (const { wire } of crowd) wire.holds = true;
      broadcast(conns, large);
      await host.settle();
      watch.weigh();
      expect(conns.every(({ bufferedAmount }) => bufferedAmount > MIB)).toBe(true);
      for (const { wire } of crowd) wire.holds = false;
      leave();
      await host.settle();
      return { p99 };
    };
    await warmUp(attack, 3);
    await survives(108, attack);
    for (const conn of conns) conn.terminate();
  }, 30_000);
});

describe('a peer that reads a byte a second', () => {
  it('is ended by a write deadline, and by nothing else while it sends pongs', async () => {
    const attack = async (): Promise<Outcome> => {
      const seconds = [];
      const off = [];
      for (const role of ROLES) {
        for (const deadline of [30_000, undefined]) {
          const beats = { interval: 20_000, timeout: 20_000 };
          const { conn, host, transport, end } = victim(role, { heartbeat: beats });
          conn.receive(() => {}).catch(() => {});
          // A socket of Node takes what it is given as a whole: a byte more or less of it shows nowhere.
          transport.block();
          void conn.send('going');
          await host.settle();
          const write = conn.send(Buffer.alloc(60_000)).catch((error: unknown) => error);
          if (deadline !== undefined) conn.setWriteDeadline(Date.now() + deadline);
          let s = 0;
          while (!transport.destroyed && s < 120) {
            s++;
            await host.advance(1_000);
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
    };
    await warmUp(attack, 3);
    await survives(109, attack);
  });
});

describe('control frames behind a full queue', () => {
  it('are queued, the newest pong and the close', async () => {
    const ping = 'p'.repeat(125);
    const message = Buffer.alloc(64 * KIB);
    const host = new FakeHost();
    const attack = async (watch: Watch): Promise<Outcome> => {
      const extra = [];
      const queued = [];
      for (const role of ROLES) {
        const { conn, wire } = wired(role, host);
        const size = role === 'server' ? 127 : 131;
        let pongs = 0;
        let bytes = 0;
        let last = 0;
        wire.onBytes = (chunk) => {
          bytes += chunk.length;
          if (chunk.length === size && chunk[0] === 0x8a) pongs++;
          // The close frame may lie behind a message.
          last = chunk[chunk.length - size] ?? 0;
        };
        conn.receive(() => {}).catch(() => {});
        wire.holds = true;
        while (conn.bufferedAmount + 2 * message.length < 16 * MIB) {
          void conn.send(message);
          await host.settle();
        }
        const full = conn.bufferedAmount;
        for (let i = 0; i < 100; i++) {
          wire.feed(Buffer.concat(Array.from({ length: 10 }, () => frame(role, 9, ping))));
        }
        await host.settle();
        void conn.close(4000, 'r'.repeat(123));
        watch.weigh();
        wire.holds = false;
        for (let i = 0; i < 1_000 && bytes < full; i++) {
          wire.leave();
          await host.settle();
        }
        wire.leave();
        await host.settle();
        extra.push(bytes - full);
        queued.push(pongs === 1 && last === 0x88 ? 'pong and close' : `${pongs} pongs, ${last}`);
        conn.terminate();
        await conn.closed;
        await turn();
      }
      return { queued: only(queued), server: extra[0], client: extra[1] };
    };
    await warmUp(attack, 2);
    await survives(110, attack, { rounds: 1 });
  }, 30_000);
});
