import { connect, reconnectingObs } from '@ws/obs';
import { connectV4 } from '@ws/obs/v4';
import { firstStackLine } from '@ws/tests';
import { FakeObsV4 } from '@ws/tests/obs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connected, reports } from './support.ts';

/** Arguments as JavaScript, without types, may pass them. */
// oxlint-disable-next-line typescript/no-explicit-any -- each row breaks a type
type Any = any;

const HERE = /\bmistakes\.test\.ts:\d+/;
const { report } = reports();
const obs = async (): Promise<Any> => (await connected({}, { report })).obs;

async function v4(): Promise<Any> {
  const fake = await FakeObsV4.start();
  onTestFinished(() => fake.close());
  const open = await connectV4(fake.url, { report });
  onTestFinished(() => void open.close());
  return open;
}

const mistakes: Readonly<Record<string, () => unknown>> = {
  'connect, url': () => connect(5 as Any),
  'connect, options': () => connect(undefined, { pasword: 'a' } as Any),
  'connect, timeout': () => connect(undefined, { timeout: -1 }),
  'reconnectingObs, url': () => reconnectingObs(5 as Any),
  'reconnectingObs, options': () => reconnectingObs(undefined, { retyr: true } as Any),
  'reconnectingObs, minDelay': () => reconnectingObs(undefined, { minDelay: -1 }),
  'connectV4, url': () => connectV4(5 as Any),
  'connectV4, options': () => connectV4(undefined, { pasword: 'a' } as Any),
  'obs.call, type': async () => (await obs()).call(5),
  'obs.call, options': async () => (await obs()).call('GetStats', undefined, { timeout: -1 }),
  'obs.batch': async () => (await obs()).batch(5),
  'obs.reidentify': async () => (await obs()).reidentify({ eventSubscriptions: -1 }),
  'v4: send': async () => (await v4()).send(5),
};

describe('the error about an argument of', () => {
  it.each(Object.entries(mistakes))('%s has a stack that starts at the caller', async (_, make) => {
    expect(await firstStackLine(make)).toMatch(HERE);
  });
});
