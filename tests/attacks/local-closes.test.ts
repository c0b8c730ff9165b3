// Writes in the very moment in which the connection ends.
import { broadcast, Conn, type Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives, type Watch } from '../../src/hostile/index.ts';
import { FakeHost, naiveDecode, Random, TestTransport, turn } from '../../src/index.ts';
import { frame, ROLES, warmUp } from './victim.ts';

/** Writes, each of which is told. */
const RUNS = 100_000;
/** Connections that are at it together. */
const CROWD = 100;
const CLOSES = ROLES.map((role) => frame(role, 8, Uint8Array.of(3, 232)));

/** One connection that writes while its end comes. */
class Race {
  readonly conn: Conn;
  readonly transport = new TestTransport();
  /** What became of each message: sent by its promise, or refused with this code. */
  readonly told = new Map<string, string>();
  readonly #name: string;
  readonly #role: Role;

  constructor(name: string, role: Role, host: FakeHost) {
    this.#name = name;
    this.#role = role;
    this.conn = new Conn(this.transport, { role, host, heartbeat: false });
    this.conn.receive(() => {}).catch(() => {});
  }

  send(): void {
    const text = `${this.#name} ${this.told.size}`;
    this.told.set(text, 'pending');
    this.conn.send(text).then(
      () => this.told.set(text, 'accepted'),
      (error: { code: string }) => this.told.set(text, error.code),
    );
  }

  /** An end of one kind or another begins. */
  close(kind: number): void {
    if (kind === 0) this.transport.feed(CLOSES[ROLES.indexOf(this.#role)]!);
    else if (kind === 1) void this.conn.close();
    else if (kind === 2) this.transport.feedEnd();
    else if (kind === 3) this.conn.terminate();
    else this.transport.break(new Error('reset'));
  }

  /**
   * Checks that its socket has got what was accepted, before the close frame, in order; nothing that was refused, and
   * nothing of anybody else. Says how writes were refused.
   */
  check(everywhere: string): string[] {
    const { told, transport } = this;
    const peer = this.#role === 'server' ? 'client' : 'server';
    const frames = naiveDecode(transport.sent, peer).frames.map(({ opcode, payload }) =>
      opcode === 8 ? 'close' : Buffer.from(payload).toString(),
    );
    const closed = frames.indexOf('close');
    if (closed >= 0 && closed !== frames.length - 1)
      throw new Error(`behind the close: ${frames.join()}`);
    const got = frames.filter((text) => text !== 'close' && text !== everywhere);
    // Once the connection broke, what was accepted may be lost.
    const accepted = [...told].filter(([, result]) => result === 'accepted').map(([text]) => text);
    const whole = got.length === accepted.length || transport.destroyed || closed < 0;
    if (!whole || got.some((text, i) => text !== accepted[i])) {
      throw new Error(`${this.#name}: ${accepted.join()} became ${got.join()}`);
    }
    return [...told.values()].filter((result) => result !== 'accepted');
  }
}

describe('a write that races a close', () => {
  it('is refused with a code or sent before it, and never to another socket', async () => {
    const host = new FakeHost();
    const attack = async (_watch: Watch, count = RUNS): Promise<Outcome> => {
      const random = new Random(0xc105e);
      const codes = new Set<string>();
      let runs = 0;
      let refused = 0;
      while (runs < count) {
        const races = Array.from(
          { length: CROWD },
          (_, i) => new Race(`#${runs}.${i}`, ROLES[i & 1]!, host),
        );
        for (const race of races) {
          race.send();
          const ends = (): void => race.close(random.below(5));
          // Now, at the end of the microtasks that are there, or with other writes of the turn gone.
          const moment = random.below(3);
          if (moment === 0) ends();
          else if (moment === 1) queueMicrotask(ends);
          else host.defer(ends);
          race.send();
          queueMicrotask(() => race.send());
          host.defer(() => race.send());
          host.yield(() => race.send());
        }
        queueMicrotask(
          () =>
            void broadcast(
              races.map(({ conn }) => conn),
              'to all',
            ),
        );
        await host.advance(10_000);
        for (const { transport } of races) transport.break();
        await host.settle();
        for (const race of races) {
          const codesOfRace = race.check('to all');
          runs += race.told.size;
          refused += codesOfRace.length;
          for (const code of codesOfRace) codes.add(code);
        }
        expect(host.timers).toBe(0);
        await turn();
      }
      expect(refused).toBeGreaterThan(runs / 5);
      expect(refused).toBeLessThan(runs);
      return { codes: [...codes].toSorted((a, b) => a.localeCompare(b)).join(' '), wrong: 0, runs };
    };
    await warmUp((watch) => attack(watch, 4_000), 2);
    await survives(103, attack);
  }, 60_000);
});
