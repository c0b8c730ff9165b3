import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { LOADER } from '../kit/loader.ts';
import { SERVERS, statesOf } from './states.ts';

const PROGRAM = fileURLToPath(new URL('states-program.ts', import.meta.url));

/** What a process says about a state, or its last words. */
async function tryIn(kind: string, states: readonly string[]): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (let next = 0; next < states.length; ) {
    const child = fork(PROGRAM, [kind], { execArgv: [...LOADER], silent: true });
    let words = '';
    child.stderr!.on('data', (chunk: Buffer) => {
      words += chunk.toString();
    });
    const exited = once(child, 'exit').then(() => ({ exited: words }));
    for (let isAlive = true; isAlive && next < states.length; next++) {
      const state = states[next]!;
      child.send(state);
      const answered = once(child, 'message').then(([faults]) => faults as object);
      const faults = await Promise.race([answered, exited]);
      isAlive = !('exited' in faults);
      found[state] = faults;
    }
    child.kill();
    await exited;
  }
  return found;
}

// A test of a kind: who holds the socket in each state, and who ends it. The processes mostly wait.
describe.concurrent('a client ends in any state, in any way', () => {
  it.each(Object.keys(SERVERS))(
    '%s lives, gets its counters back and closes in time',
    async (kind) => {
      const states = statesOf(kind);
      const well = Object.fromEntries(states.map((state) => [state, { warnings: [] }]));
      expect(await tryIn(kind, states)).toEqual(well);
    },
  );
});
