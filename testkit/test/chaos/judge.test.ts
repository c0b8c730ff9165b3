import { describe, expect, it } from 'vitest';
import type { Meddle } from '../../src/chaos/lane.ts';
import { QUIET } from '../../src/chaos/plan.ts';
import { chaos, type Tally } from '../../src/chaos/run.ts';
import type { Pairing, Part, Script } from '../../src/chaos/script.ts';
import { nothingLeft } from '../../src/peers/index.ts';
import { forgetful, headerSize, type Lie, lying } from './meddlers.ts';

const part: Part = { messages: 400, writing: 'flood', reading: 'receive', slow: false, seed: 5 };

function script(pairing: Pairing, more: Partial<Script> = {}): Script {
  const client = { ...part, seed: 6 };
  return { connection: 0, pairing, client, server: part, closer: 'client', plan: QUIET, ...more };
}

const LIES: readonly (readonly [string, Lie])[] = [
  ['one is left out', ([a, , c]) => [a!, c!]],
  ['one comes twice', ([a, b, c]) => [a!, b!, b!, c!]],
  ['two change places', ([a, b, c]) => [b!, a!, c!]],
  ['a bit is turned', ([a, b, c]) => [a!, turned(b!), c!]],
];

/** The frame with a bit of its payload turned: of a digit, so that what is text stays text. */
function turned(frame: Buffer): Buffer {
  const changed = Buffer.from(frame);
  changed[headerSize(changed)]! ^= 1;
  return changed;
}

const OURS: Pairing = { client: 'ours', server: 'ours', compression: false };
const WAYS = [
  ['from our client to our server', OURS, 'toServer'],
  ['from our server to our client', OURS, 'toClient'],
  ['from ws to our server', { ...OURS, client: 'ws' }, 'toServer'],
  ['from our client to ws', { ...OURS, server: 'ws' }, 'toServer'],
] as const;

describe.each(WAYS)('the judge of messages %s', (_, pairing, lane) => {
  nothingLeft();

  // The side that is lied about closes: it knows no better.
  const closer = lane === 'toServer' ? 'client' : 'server';
  const judged = (meddle: () => Meddle): Promise<Tally> =>
    chaos({ seed: 1, scripts: [script(pairing, { closer })], meddle: { [lane]: meddle } });

  it.each(LIES)('sees that %s', async (_says, lie) => {
    const { findings } = await judged(() => lying(lie));
    expect(findings[0]).toMatch(/message \d+: .* came, .* was next/);
    // Whoever reads it can play it again.
    expect(findings[0]).toContain('connection 0: client');
  });

  it('sees that the last ones were left out', async () => {
    const { findings } = await judged(forgetful);
    expect(findings[0]).toMatch(/\d+ messages lost, and the sender saw a clean end with 1000/);
    expect(findings[0]).toMatch(/\d+ messages lost before a close that was answered/);
    expect(findings[0]).toMatch(/\d+ messages lost before a close that was received/);
    expect(findings[0]).toMatch(/\d+ messages lost, and nothing was cut/);
  });

  it('has nothing to say of an honest network', async () => {
    const tally = await judged(() => lying((frames) => frames));
    expect(tally.findings).toEqual([]);
    expect(tally.heard).toBe(tally.said);
    expect(tally.heard).toBeGreaterThanOrEqual(800);
  });
});
