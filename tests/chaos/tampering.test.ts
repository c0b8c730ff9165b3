import { describe, expect, it } from 'vitest';
import { nothingLeft } from '../peers/index.ts';
import type { Tamper } from './direction.ts';
import { QUIET } from './fault-plan.ts';
import { chaos, type RunResult } from './run.ts';
import type { Pairing, Part, Script } from './script.ts';
import { dropAll, headerSize, type Manipulation, manipulateOnce } from './tampering.ts';

const part: Part = { messages: 400, writing: 'flood', reading: 'receive', slow: false, seed: 5 };

function script(pairing: Pairing, more: Partial<Script> = {}): Script {
  const client = { ...part, seed: 6 };
  return {
    connection: 0,
    over: 'tcp',
    pairing,
    client,
    server: part,
    closer: 'client',
    plan: QUIET,
    ...more,
  };
}

const MANIPULATIONS: readonly (readonly [string, Manipulation])[] = [
  ['a frame is missing', ([a, , c]) => [a!, c!]],
  ['a frame is doubled', ([a, b, c]) => [a!, b!, b!, c!]],
  ['two frames are swapped', ([a, b, c]) => [b!, a!, c!]],
  ['a bit is flipped', ([a, b, c]) => [a!, flipped(b!), c!]],
];

/** Flips a payload bit: of a digit, so text stays UTF-8. */
function flipped(frame: Buffer): Buffer {
  const changed = Buffer.from(frame);
  changed[headerSize(changed)]! ^= 1;
  return changed;
}

const OURS: Pairing = { client: 'own', server: 'own', compression: false };
const WAYS = [
  ['from own client to own server', OURS, 'toServer'],
  ['from own server to own client', OURS, 'toClient'],
  ['from ws to own server', { ...OURS, client: 'ws' }, 'toServer'],
  ['from own client to ws', { ...OURS, server: 'ws' }, 'toServer'],
] as const;

describe.each(WAYS)('findViolations of messages %s', (_, pairing, direction) => {
  nothingLeft();

  // The endpoint whose messages are changed closes: it does not notice.
  const closer = direction === 'toServer' ? 'client' : 'server';
  const judged = (tamper: () => Tamper): Promise<RunResult> =>
    chaos({ seed: 1, scripts: [script(pairing, { closer })], tamper: { [direction]: tamper } });

  it.each(MANIPULATIONS)('reports that %s', async (_says, manipulation) => {
    const { findings } = await judged(() => manipulateOnce(manipulation));
    expect(findings[0]).toMatch(/message \d+: .* came, .* was next/);
    // The finding names the script.
    expect(findings[0]).toContain('connection 0: client');
  });

  it('reports missing last messages', async () => {
    const { findings } = await judged(dropAll);
    expect(findings[0]).toMatch(/\d+ messages lost, and the sender saw a clean end with 1000/);
    expect(findings[0]).toMatch(/\d+ messages lost before a close that was answered/);
    expect(findings[0]).toMatch(/\d+ messages lost before a close that was received/);
    expect(findings[0]).toMatch(/\d+ messages lost, and nothing was cut/);
  });

  it('accepts an unchanged stream', async () => {
    const result = await judged(() => manipulateOnce((frames) => frames));
    expect(result.findings).toEqual([]);
    expect(result.received).toBe(result.sent);
    expect(result.received).toBeGreaterThanOrEqual(800);
  });
});
