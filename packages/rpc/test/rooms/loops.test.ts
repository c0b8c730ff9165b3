// Several loops of one page over a room, which share joins. What one loop asks for, or a break, an end of
// the membership or another history must not make another loop lose messages, or get them twice.
import type { JoinOptions } from '@ws/rpc/rooms';
import { describe, expect, it } from 'vitest';
import { at, read, startByHand, textOf, turns } from './server-by-hand.ts';

/** A page whose first loop is live at the message 2 of the history `a`. */
async function startLive() {
  const page = startByHand();
  const one = page.loop();
  await (await page.asked()).answer({ complete: true, position: at('a', 2) });
  await turns();
  expect(one).toEqual(['live']);
  return { ...page, one };
}

describe('A1 the join of a loop with last', () => {
  it('takes nothing from a live loop, which joins again', async () => {
    const { one, loop, asked, messages } = await startLive();
    const two = loop({ last: 1 });
    const last = await asked();
    expect(last.last).toBe(1);
    // The node is behind the engine: 3 and 4 come later.
    await messages('a', 5);
    await last.answer({ complete: true, missed: 1, position: at('a', 5) });
    const again = await asked();
    expect(again.since).toEqual(at('a', 2));
    await messages('a', 3, 5);
    await again.answer({ complete: true, missed: 3, position: at('a', 5) });
    await messages('a', 6);
    await turns();
    expect(one).toEqual(['live', 'a3', 'a4', 'a5', 'live', 'a6']);
    expect(two).toEqual(['a5', 'live', 'a6']);
  });

  it('begins the loop with the join, not with live messages that came before it', async () => {
    const { loop, asked, messages } = await startLive();
    const two = loop({ last: 25 });
    const last = await asked();
    // 3 and 4 were on their way. Then the history lost 5.
    await messages('a', 3, 4);
    await messages('a', 6, 7);
    await last.answer({ complete: false, missed: 2, position: at('a', 7) });
    await turns();
    expect(two).toEqual(['a6', 'a7', 'live']);
  });

  it.each([
    ['brings them again', 3, 6, 4, ['a3', 'a4', 'a5', 'a6', 'a7', 'live']],
    ['brings none', 7, 6, 0, ['a7', 'live']],
  ])('%s: live messages before it', async (_, from, to, missed, items) => {
    const { loop, asked, messages } = await startLive();
    const two = loop({ last: 25 });
    const last = await asked();
    await messages('a', 3, 4);
    await messages('a', from, to);
    await messages('a', 7);
    await last.answer({ complete: true, missed, position: at('a', 6) });
    await turns();
    expect(two).toEqual(items);
  });

  it('is followed by a join of the live loop also when no message came', async () => {
    const { one, loop, asked, messages } = await startLive();
    loop({ last: 1 });
    // The last message was for others.
    await (await asked()).answer({ complete: true, position: at('a', 5) });
    const again = await asked();
    expect(again.since).toEqual(at('a', 2));
    await messages('a', 3, 4);
    await again.answer({ complete: true, missed: 2, position: at('a', 5) });
    await turns();
    expect(one).toEqual(['live', 'a3', 'a4', 'live']);
  });

  it('takes nothing from a live loop when it fails, or when its connection breaks', async () => {
    const { one, loop, asked, messages, cut } = await startLive();
    loop({ last: 1 });
    await asked();
    await messages('a', 5);
    await turns();
    cut();
    const again = await asked();
    expect(again.since).toEqual(at('a', 2));
    await messages('a', 3, 5);
    await again.answer({ complete: true, missed: 3, position: at('a', 5) });
    await turns();
    expect(one).toEqual(['live', 'a3', 'a4', 'a5', 'live']);
  });

  it('takes nothing from a slow loop, which reads its queue first', async () => {
    const page = startByHand();
    const slow = page.slowLoop();
    const first = slow.next();
    await (await page.asked()).answer({ complete: true, position: at('a', 2) });
    expect(textOf((await first).value)).toBe('live');
    await page.messages('a', 3);
    page.loop({ last: 1 });
    const last = await page.asked();
    await page.messages('a', 6);
    await last.answer({ complete: true, missed: 1, position: at('a', 6) });
    await turns();
    const items: string[] = [];
    void read(slow, items);
    const again = await page.asked();
    expect(again.since).toEqual(at('a', 3));
    await page.messages('a', 4, 6);
    await again.answer({ complete: true, missed: 3, position: at('a', 6) });
    await turns();
    expect(items).toEqual(['a3', 'a4', 'a5', 'a6', 'live']);
  });

  it('asks for nothing more when the live loop has all', async () => {
    const { one, loop, asked, messages, hasRequests } = await startLive();
    await messages('a', 3, 5);
    await turns();
    const two = loop({ last: 2 });
    const last = await asked();
    await last.answer({ complete: true, position: at('a', 5) });
    await turns();
    expect(hasRequests()).toBe(false);
    expect(one).toEqual(['live', 'a3', 'a4', 'a5']);
    expect(two).toEqual(['live']);
  });
});

describe('A1 a loop with a since that is ahead of what has arrived', () => {
  it('joins from where the live loop is', async () => {
    const { one, loop, asked, messages } = await startLive();
    const two = loop({ since: at('a', 4) });
    const join = await asked();
    expect(join.since).toEqual(at('a', 2));
    await messages('a', 3, 5);
    await join.answer({ complete: true, missed: 3, position: at('a', 5) });
    await turns();
    expect(one).toEqual(['live', 'a3', 'a4', 'a5']);
    expect(two).toEqual(['a5', 'live']);
  });
});

describe('A1 B3 a join of another history', () => {
  it('gives a live loop a gap, then what follows: last-new-epoch', async () => {
    const { one, loop, asked, messages, gap } = await startLive();
    const two = loop({ last: 2 });
    const first = await asked();
    await messages('b', 7, 8);
    await gap();
    await first.answer({ complete: false, missed: 2, position: at('b', 8) });
    const again = await asked();
    expect(again.since).toEqual(at('a', 2));
    await gap({ position: at('a', 2), joining: true });
    await messages('b', 1, 8);
    await again.answer({ complete: false, missed: 8, position: at('b', 8) });
    const last = await asked();
    expect(last.last).toBe(2);
    await messages('b', 7, 8);
    await last.answer({ complete: true, missed: 2, position: at('b', 8) });
    await turns();
    expect(one).toEqual(['live', 'gap', 'b1', 'b2', 'b3', 'b4', 'b5', 'b6', 'b7', 'b8', 'live']);
    expect(two).toEqual(['b7', 'b8', 'live']);
  });

  it.each<[string, JoinOptions]>([
    ['last', { last: 2 }],
    ['since', { since: at('', 0) }],
  ])('never repeats to a live loop what it has: %s', async (_, options) => {
    const { one, loop, asked, messages, gap } = await startLive();
    await messages('a', 3);
    const two = loop(options);
    const join = await asked();
    if (options.last === undefined) await gap({ position: at('', 0), joining: true });
    // The engine has numbered the messages 2 and 3 anew.
    for (const n of [2, 3]) await messages('b', n);
    await join.answer({ complete: options.last !== undefined, missed: 2, position: at('b', 3) });
    const again = await asked();
    expect(again.since).toEqual(at('a', 3));
    await gap({ position: at('a', 3), joining: true });
    await again.answer({ complete: false, position: at('b', 3) });
    await messages('b', 4);
    await turns();
    expect(one).toEqual(['live', 'a3', 'gap', 'live', 'b4']);
    expect(two.filter((each) => each !== 'gap')).toEqual(['b2', 'b3', 'live', 'b4']);
  });
});

describe('A7 a loop with last whose join began in another history', () => {
  it('keeps the position of the later one, and gets nothing twice', async () => {
    const { one, loop, asked, messages, gap, hasRequests } = await startLive();
    const two = loop({ last: 17 });
    const last = await asked();
    await messages('a', 3);
    await gap({ position: at('a', 2) });
    await messages('b', 1, 3);
    await last.answer({ complete: true, missed: 1, position: at('a', 3) });
    const again = await asked();
    expect(again.since).toEqual(at('a', 2));
    await gap({ position: at('a', 2), joining: true });
    await messages('b', 1, 3);
    await again.answer({ complete: false, missed: 3, position: at('b', 3) });
    await turns();
    expect(one).toEqual(['live', 'gap', 'b1', 'b2', 'b3', 'live']);
    expect(two).toEqual(['gap', 'b1', 'b2', 'b3', 'live']);
    expect(hasRequests()).toBe(false);
    // A later loop begins after the messages of the later history.
    const three = loop();
    await messages('b', 4);
    await turns();
    expect(three).toEqual(['live', 'b4']);
  });
});

describe('H4 a loop that is ahead of another one when the history is lost', () => {
  it.each([
    ['with the answer when no message follows', at('b', 0)],
    ['before the next message when the answer has no position', undefined],
  ])('gets a gap %s', async (_, position) => {
    const { one, loop, asked, messages, gap, cut } = await startLive();
    const two = loop({ since: at('a', 1) });
    const first = await asked();
    await messages('a', 2);
    await first.answer({ complete: true, missed: 1, position: at('a', 2) });
    await turns();
    const before = two.slice();
    loop({ since: at('a', 0) });
    await asked();
    cut();
    const again = await asked();
    expect(again.since).toEqual(at('a', 0));
    await gap({ position: at('a', 0), joining: true });
    await again.answer({ complete: false, position });
    await messages('b', 1);
    await turns();
    const rest = position === undefined ? ['live', 'gap', 'b1'] : ['gap', 'live', 'b1'];
    expect(one).toEqual(['live', ...rest]);
    expect(two).toEqual([...before, ...rest]);
  });

  it('gets no gap when the history has all that it lacks', async () => {
    const { one, loop, asked, messages, gap, cut } = await startLive();
    loop({ since: at('a', 0) });
    await asked();
    cut();
    const again = await asked();
    await gap({ position: at('a', 0), joining: true });
    // The history reaches back to 2.
    await messages('a', 2, 4);
    await again.answer({ complete: false, missed: 3, position: at('a', 4) });
    await turns();
    expect(one).toEqual(['live', 'a3', 'a4', 'live']);
  });
});

describe('H5 a slow loop when the membership ends', () => {
  it('gets a gap or the messages, when another loop joins at once', async () => {
    const page = startByHand();
    const { asked, messages, gap } = page;
    const fast = page.loop();
    const slow = page.slowLoop();
    const first = slow.next();
    await (await asked()).answer({ complete: true, position: at('a', 0) });
    expect(textOf((await first).value)).toBe('live');
    await messages('a', 1, 2);
    await turns();
    expect(textOf((await slow.next()).value)).toBe('a1');
    await gap();
    const again = await asked();
    expect(again.since).toEqual(at('a', 2));
    // The slow loop reads its queue during the join.
    expect(textOf((await slow.next()).value)).toBe('a2');
    await gap({ position: at('a', 2), joining: true });
    await messages('a', 33, 34);
    await again.answer({ complete: false, missed: 2, position: at('a', 34) });
    const items: string[] = [];
    void read(slow, items);
    const own = await asked();
    expect(own.since).toEqual(at('a', 2));
    await gap({ position: at('a', 2), joining: true });
    await messages('a', 33, 34);
    await own.answer({ complete: false, missed: 2, position: at('a', 34) });
    await turns();
    expect(fast).toEqual(['live', 'a1', 'a2', 'gap', 'a33', 'a34', 'live']);
    expect(items).toEqual(['gap', 'a33', 'a34', 'live']);
  });

  it('gets a gap when the membership ends twice while it reads', async () => {
    const page = startByHand();
    const { asked, messages, gap } = page;
    const slow = page.slowLoop();
    const first = slow.next();
    await (await asked()).answer({ complete: true, position: at('a', 0) });
    expect(textOf((await first).value)).toBe('live');
    await messages('a', 1, 2);
    await turns();
    expect(textOf((await slow.next()).value)).toBe('a1');
    await gap();
    await (await asked()).answer({ complete: true, position: at('a', 2) });
    await turns();
    expect(textOf((await slow.next()).value)).toBe('a2');
    await gap();
    await (await asked()).answer({ complete: true, position: at('a', 40) });
    await turns();
    const items: string[] = [];
    void read(slow, items);
    const own = await asked();
    expect(own.since).toEqual(at('a', 2));
    await gap({ position: at('a', 2), joining: true });
    await own.answer({ complete: false, position: at('a', 40) });
    await messages('a', 41);
    await turns();
    expect(items).toEqual(['gap', 'live', 'a41']);
  });
});

describe('H6 a loop with last whose first join breaks after each message', () => {
  it.each(
    [0, 1, 2, 3].flatMap((arrived) =>
      ['a', 'b'].map((epoch) => [arrived, epoch] as [number, string]),
    ),
  )('gets nothing of that join: %i messages, then the history %s', async (arrived, epoch) => {
    const { loop, asked, messages, cut } = startByHand();
    const got = loop({ last: 3 });
    await asked();
    if (arrived > 0) await messages('a', 1, arrived);
    await turns();
    cut();
    const again = await asked();
    expect(again.last).toBe(3);
    await messages(epoch, 41, 42);
    await again.answer({ complete: true, missed: 2, position: at(epoch, 42) });
    await turns();
    expect(got).toEqual([`${epoch}41`, `${epoch}42`, 'live']);
  });
});

describe('M3 a new loop beside one that gets missed messages', () => {
  it('gets nothing of a join that has broken, when the history was lost', async () => {
    const { loop, asked, messages, gap, cut } = startByHand();
    const old = loop({ since: at('a', 10) });
    const fresh = loop();
    await asked();
    await messages('a', 11, 13);
    cut();
    const again = await asked();
    await gap({ position: again.since, joining: true });
    await again.answer({ complete: false, position: at('b', 0) });
    await messages('b', 1);
    expect(fresh).toEqual(['live', 'b1']);
    expect(old).toEqual(['a11', 'a12', 'a13', 'gap', 'live', 'b1']);
  });
});

describe('M4 a gap before the first answer', () => {
  it.each([
    ['a gap in a room without a state', false, ['gap', 'live', 'a6']],
    ['a state in a room with one', true, ['state s', 'live', 'a6']],
  ])('becomes %s', async (_, state, expected) => {
    const { loop, asked, messages, gap, state: sendState } = startByHand();
    const got = loop({ since: at('a', 2) });
    const join = await asked();
    await gap({ position: at('a', 1) });
    await turns();
    expect(got).toEqual([]);
    await join.answer({ complete: true, position: at('a', 5), state });
    const again = await asked();
    if (again.since === undefined) await sendState('s', at('a', 5));
    await again.answer({ complete: true, position: at('a', 5), state });
    await messages('a', 6);
    await turns();
    expect(got).toEqual(expected);
  });
});

describe('a state that a live loop has not requested', () => {
  it('is followed by live at once: no answer comes', async () => {
    const { one, messages, state } = await startLive();
    await state('table 9', at('a', 9));
    await messages('a', 10);
    await turns();
    expect(one).toEqual(['live', 'state table 9', 'live', 'a10']);
  });
});
