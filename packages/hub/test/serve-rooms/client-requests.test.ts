import { describe, expect, it } from 'vitest';
import { ClientRequests } from '../../src/serve-rooms/client-requests.ts';
import { turns } from './setup.ts';

/** The requests of a client. The test answers their questions. */
function start() {
  const answers: ((may: boolean) => void)[] = [];
  let isIdle = true;
  const decisions = { add: (room: string) => ({ room, isRevoked: false }), remove: () => {} };
  const requests: ClientRequests = new ClientRequests(decisions, () => (isIdle = requests.isIdle));
  const ask = async (room: string, { signal } = new AbortController()): Promise<unknown> => {
    isIdle = false;
    return requests
      .inOrder(room, { signal }, (request) =>
        requests.ask(room, request, 1_000, () => new Promise((resolve) => answers.push(resolve))),
      )
      .catch((error: unknown) => error);
  };
  return { answers, ask, isIdle: () => isIdle };
}

/** Calls `call` after `count` microtasks. */
async function after(count: number, call: () => void): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
  call();
}

describe('ClientRequests', () => {
  it('ask 16 questions at a time, also after a request that was aborted while a place was free', async () => {
    for (let answered = 0; answered < 8; answered++) {
      for (let aborted = 0; aborted < 8; aborted++) {
        const { answers, ask } = start();
        for (let i = 0; i < 16; i++) void ask(`${i}`);
        const control = new AbortController();
        void ask('aborted', control);
        await turns(1);
        void after(answered, () => answers[0]!(true));
        void after(aborted, () => control.abort());
        await turns(1);
        for (const answer of answers.splice(0)) answer(true);
        await turns(1);
        for (let i = 0; i < 20; i++) void ask(`later ${i}`);
        await turns(1);
        expect({ answered, aborted, asked: answers.length }).toMatchObject({ asked: 16 });
      }
    }
  });

  it('say when they are idle, also after an aborted request that had waited', async () => {
    const { answers, ask, isIdle } = start();
    const first = ask('a');
    const control = new AbortController();
    const second = ask('a', control);
    await turns(1);
    control.abort(new Error('left'));
    expect(await second).toMatchObject({ message: 'left' });
    expect(isIdle()).toBe(false);
    answers[0]!(true);
    await first;
    await turns(1);
    expect(isIdle()).toBe(true);
  });
});
