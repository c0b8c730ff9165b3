import type { ServerAttempt } from '../attempts/server-attempt.ts';
import { Names, type Step } from './case-data.ts';
import { Talk } from './talk.ts';

/** Plays the clients of a case against a server. */
export async function runServerCase(attempt: ServerAttempt, steps: readonly Step[]): Promise<void> {
  const names = new Names();
  const talks = new Map<string, Talk>();
  for (const step of steps) {
    const { on = 'a', wait } = step;
    if (wait !== undefined) await attempt.rest(wait);
    const talk = talks.get(on) ?? new Talk(await attempt.open(), names);
    // The next step of an ended connection opens another one.
    if (step.close === undefined && step.cut !== true) talks.set(on, talk);
    else talks.delete(on);
    await talk.step(step);
  }
}
