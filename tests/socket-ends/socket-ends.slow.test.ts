import { describe, it } from 'vitest';
import { nothingLeft, turn, whenOver } from '../peers/index.ts';
import { ENDS, MOMENTS } from './ends.ts';
import { KINDS } from './kinds.ts';
import { USERS } from './users.ts';

// Node throws from some calls for some kinds of sockets. Each end of a connection is an event, and
// an error in its listener would end the process: `nothingLeft` fails the test then.
describe.each(Object.entries(USERS))('%s, when its socket ends', (_, prepare) => {
  nothingLeft();

  it.each(KINDS)('catches every error over %s', async (_, preparePairs) => {
    const user = await prepare();
    const openPair = await preparePairs();
    let stopped: unknown;
    whenOver(() => stopped ?? user.stop());
    const role = user.role === 'client' ? 'server' : 'client';
    const farRole = user.isBare ? (`bare ${role}` as const) : role;
    for (const moment of Object.values(MOMENTS)) {
      await Promise.all(
        Object.values(ENDS).map(async (end) => {
          const pair = await openPair(user.role);
          user.take(pair.near);
          await moment(pair.far, farRole);
          end(pair);
          pair.far.resume();
        }),
      );
    }
    for (let i = 0; i < 20; i++) await turn();
    stopped = user.stop();
    await stopped;
  });
});
