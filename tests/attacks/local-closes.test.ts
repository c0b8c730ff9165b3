// Calls of close with invalid arguments, and writes at the moment of an end.
import { broadcast, CloseMessage, Conn, type Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { FakePlatform, naiveDecode, Random, TestTransport, turn } from '../kit/index.ts';
import { fillPools } from '../pool-poison/traffic.ts';
import {
  atLeast,
  claim,
  MIB,
  type Outcome,
  survives,
  type Watch,
  warmUp,
} from './harness/index.ts';
import { frame, only, ROLES, targetConn } from './target-conn.ts';

const REFUSED: readonly unknown[] = [
  [1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535, 65_536 + 1000, 0, 999, -1, 1000.5],
  [Number.NaN, Infinity, null, '1000', 1000n, true, {}, [1000], Symbol('x')],
].flat();
const REASONS: readonly unknown[] = [
  [new Float32Array(20), new Uint8Array(20), new ArrayBuffer(8), 'x'.repeat(124)],
  ['é'.repeat(62), 20, null, true, {}, ['x'], Symbol('x')],
].flat();
/** Close payloads for `writeControl`. */
const PAYLOADS: readonly unknown[] = [
  [[3], [3, 237], [3, 231, 0x41], [3, 232, 0xc0, 0x80]].map((bytes) => Uint8Array.from(bytes)),
  [new Float32Array(1), new Uint8Array(126), 1000, null, {}],
].flat();

it('a close with an invalid code or reason is refused, and sends nothing', async () => {
  const attack = claim('close codes and reasons that must not be sent', 'RFC 6455, 7.4');
  const bound = {
    error: 'TypeError or RangeError',
    bytes: 0,
    uninitialised: 0,
    cases: atLeast(80),
    warmUps: 3,
  };
  await survives(attack, bound, async () => {
    fillPools();
    const errors = new Set<unknown>();
    let bytes = 0;
    let cases = 0;
    const uninitialised = [];
    for (const role of ROLES) {
      const { conn, platform, transport, sent, end } = targetConn(role);
      const calls = [
        ...REFUSED.map((code) => conn.close(code as number)),
        ...REASONS.map((reason) => conn.close(1000, reason as string)),
        ...PAYLOADS.map((payload) => conn.writeControl(CloseMessage, payload as Uint8Array)),
      ];
      for (const call of calls) {
        const error = await call.catch((reason: unknown) => reason);
        errors.add((error as Error).constructor.name);
        cases++;
      }
      await platform.settle();
      bytes += transport.sent.length;
      expect(conn.state).toBe('open');

      // A valid close sends its own bytes, and no other.
      void conn.close(4000, 'é'.repeat(61));
      await platform.settle();
      const [close, ...others] = sent();
      const expected = Buffer.concat([Buffer.of(0x0f, 0xa0), Buffer.from('é'.repeat(61))]);
      uninitialised.push([...close!.payload].filter((byte, i) => byte !== expected[i]).length);
      expect([close!.payload.length, others.length]).toEqual([expected.length, 0]);
      await end();
    }
    const error = [...errors]
      .map(String)
      .toSorted((a, b) => b.localeCompare(a))
      .join(' or ');
    return { error, bytes, cases, uninitialised: only(uninitialised) };
  });
});

/** Writes whose results are compared. */
const RUNS = 30_000;
const CROWD = 100;
const CLOSES = ROLES.map((role) => frame(role, 8, Uint8Array.of(3, 232)));

class Race {
  readonly conn: Conn;
  readonly transport = new TestTransport();
  /** The result of each message: accepted, or the code of its error. */
  readonly told = new Map<string, string>();
  readonly #name: string;
  readonly #role: Role;

  constructor(name: string, role: Role, platform: FakePlatform) {
    this.#name = name;
    this.#role = role;
    this.conn = new Conn(this.transport, { role, platform, heartbeat: false });
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

  /** Starts one of five kinds of end. */
  close(kind: number): void {
    if (kind === 0) this.transport.feed(CLOSES[ROLES.indexOf(this.#role)]!);
    else if (kind === 1) void this.conn.close();
    else if (kind === 2) this.transport.feedEnd();
    else if (kind === 3) this.conn.terminate();
    else this.transport.break(new Error('reset'));
  }

  /**
   * Checks that the socket got the accepted messages in order, before the close frame, and no other.
   * Returns the codes of refused writes.
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
    // A broken connection may lose accepted messages.
    const accepted = [...told].filter(([, result]) => result === 'accepted').map(([text]) => text);
    const whole = got.length === accepted.length || transport.destroyed || closed < 0;
    if (!whole || got.some((text, i) => text !== accepted[i])) {
      throw new Error(`${this.#name}: ${accepted.join()} became ${got.join()}`);
    }
    return [...told.values()].filter((result) => result !== 'accepted');
  }
}

describe('a write that races a close', () => {
  it('is refused with a code or sent before the close, and never reaches another socket', async () => {
    const platform = new FakePlatform();
    const attack = async (_watch: Watch, count = RUNS): Promise<Outcome> => {
      const random = new Random(0xc105e);
      const codes = new Set<string>();
      let runs = 0;
      let refused = 0;
      while (runs < count) {
        const races = Array.from(
          { length: CROWD },
          (_, i) => new Race(`#${runs}.${i}`, ROLES[i % 2]!, platform),
        );
        for (const race of races) {
          race.send();
          const ends = (): void => race.close(random.below(5));
          // Now, after the current microtasks, or after other writes of this turn.
          const moment = random.below(3);
          if (moment === 0) ends();
          else if (moment === 1) queueMicrotask(ends);
          else platform.defer(ends);
          race.send();
          queueMicrotask(() => race.send());
          platform.defer(() => race.send());
          platform.yield(() => race.send());
        }
        queueMicrotask(
          () =>
            void broadcast(
              races.map(({ conn }) => conn),
              'to all',
            ),
        );
        await platform.advance(10_000);
        for (const { transport } of races) transport.break();
        await platform.settle();
        for (const race of races) {
          const codesOfRace = race.check('to all');
          runs += race.told.size;
          refused += codesOfRace.length;
          for (const code of codesOfRace) codes.add(code);
        }
        expect(platform.timers).toBe(0);
        await turn();
      }
      expect(refused).toBeGreaterThan(runs / 5);
      expect(refused).toBeLessThan(runs);
      return { codes: [...codes].toSorted((a, b) => a.localeCompare(b)).join(' '), wrong: 0, runs };
    };
    await warmUp((watch) => attack(watch, 4_000), 2);
    await survives(
      claim('writes at the moment of a close', 'RFC 6455, 5.5.1'),
      {
        codes: 'WS_ERR_CLOSE WS_ERR_CLOSE_SENT WS_ERR_TRANSPORT',
        wrong: 0,
        runs: atLeast(30_000),
        // 6,000 connections a round, and 0.4 MiB of compiled code and of V8 itself. The test of
        // leftovers has the slope.
        memory: MIB,
      },
      attack,
    );
  });
});
