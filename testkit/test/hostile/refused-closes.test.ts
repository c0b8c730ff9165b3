// Codes and reasons that must not travel.
import { CloseMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives } from '../../src/hostile/index.ts';
import { fillPools } from '../canaries/traffic.ts';
import { only, ROLES, victim, warmUp } from './victim.ts';

const REFUSED: readonly unknown[] = [
  1004,
  1005,
  1006,
  1015,
  1016,
  2999,
  5000,
  65_535,
  65_536 + 1000,
  0,
  999,
  -1,
  1000.5,
  Number.NaN,
  Infinity,
  null,
  '1000',
  1000n,
  true,
  {},
  [1000],
  Symbol('x'),
];
const REASONS: readonly unknown[] = [
  new Float32Array(20),
  new Uint8Array(20),
  new ArrayBuffer(8),
  'x'.repeat(124),
  'é'.repeat(62),
  20,
  null,
  true,
  {},
  ['x'],
  Symbol('x'),
];
/** Close payloads for `writeControl`. */
const PAYLOADS: readonly unknown[] = [
  Uint8Array.of(3),
  Uint8Array.of(3, 237),
  Uint8Array.of(3, 231, 0x41),
  Uint8Array.of(3, 232, 0xc0, 0x80),
  new Float32Array(1),
  new Uint8Array(126),
  1000,
  null,
  {},
];

describe('a close', () => {
  it('with a code or a reason that must not travel is refused, and nothing of it is sent', async () => {
    const attack = async (): Promise<Outcome> => {
      fillPools();
      const errors = new Set<unknown>();
      let bytes = 0;
      let cases = 0;
      const uninitialised = [];
      for (const role of ROLES) {
        const { conn, host, transport, sent, end } = victim(role);
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
        await host.settle();
        bytes += transport.sent.length;
        expect(conn.state).toBe('open');

        // One that may travel brings its own bytes, and no others.
        void conn.close(4000, 'é'.repeat(61));
        await host.settle();
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
    };
    await warmUp(attack, 3);
    await survives(106, attack);
  });
});
