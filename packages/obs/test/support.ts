import type { Report } from '@ws/conn';
import { type ConnectOptions, connect, type Obs } from '@ws/obs';
import { FakeObs, type FakeObsOptions } from '@ws/tests/obs';
import { onTestFinished } from 'vitest';

/** Starts a fake OBS for the current test. */
export async function startFake(options?: FakeObsOptions): Promise<FakeObs> {
  const fake = await FakeObs.start(options);
  onTestFinished(() => fake.close());
  return fake;
}

/** Starts a fake OBS for the current test, and connects to it. */
export async function connected(
  { password, ...others }: FakeObsOptions = {},
  options: ConnectOptions = {},
): Promise<{ fake: FakeObs; obs: Obs }> {
  const fake = await startFake({ password, ...others });
  const obs = await connect(fake.url, { password, ...options });
  onTestFinished(() => void obs.close());
  return { fake, obs };
}

/** Collects the errors of the option `report`. */
export function reports(): { report: Report; first: Promise<unknown>; errors: unknown[] } {
  const errors: unknown[] = [];
  let resolve!: (error: unknown) => void;
  const first = new Promise<unknown>((settle) => {
    resolve = settle;
  });
  const report: Report = (error) => {
    errors.push(error);
    resolve(error);
  };
  return { report, first, errors };
}

/** The reason of a promise that rejects. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('the promise did not reject');
}
