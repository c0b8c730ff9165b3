import { connect, reconnectingObs } from '@ws/obs';
import { firstStackLine } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { connected, reports } from './support.ts';

/** Arguments as JavaScript, without types, may pass them. */
// oxlint-disable-next-line typescript/no-explicit-any -- each row breaks a type
type Any = any;

const HERE = /\bmistakes\.test\.ts:\d+/;
const { report } = reports();
const obs = async (): Promise<Any> => (await connected({}, { report })).obs;

const mistakes: Readonly<Record<string, () => unknown>> = {
  'connect, url': () => connect(5 as Any),
  'connect, options': () => connect(undefined, { pasword: 'a' } as Any),
  'connect, timeout': () => connect(undefined, { timeout: -1 }),
  'reconnectingObs, url': () => reconnectingObs(5 as Any),
  'reconnectingObs, options': () => reconnectingObs(undefined, { retyr: true } as Any),
  'reconnectingObs, minDelay': () => reconnectingObs(undefined, { minDelay: -1 }),
  'obs.call, type': async () => (await obs()).call(5),
  'obs.call, options': async () => (await obs()).call('GetStats', undefined, { timeout: -1 }),
  'obs.batch': async () => (await obs()).batch(5),
  'obs.reidentify': async () => (await obs()).reidentify({ eventSubscriptions: -1 }),
};

describe('the error about an argument of', () => {
  it.each(Object.entries(mistakes))('%s has a stack that starts at the caller', async (_, make) => {
    expect(await firstStackLine(make)).toMatch(HERE);
  });

  it('a password instead of the options says what to write', async () => {
    await expect(connect(undefined, 'secret' as Any)).rejects.toThrow(
      'connect: expected an object of options, got string; write { password }',
    );
  });
});
