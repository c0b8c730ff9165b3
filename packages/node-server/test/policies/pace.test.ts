import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { HandshakeError } from '../../src/index.ts';
import { checkPace, Pace, type Place } from '../../src/policies/pace.ts';
import { stopClock } from '../clock.ts';

const paceOf = (options: object, maxHandshakes = 1_024): Pace =>
  new Pace(checkPace({ perSecond: 100, burst: 1, ...options }, 1, maxHandshakes));

/** The Retry-After of a refusal, in seconds. */
function refusal(enter: () => unknown): number | undefined {
  try {
    enter();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(HandshakeError);
    const { status, headers } = error as HandshakeError;
    expect([status, headers[0]![0]]).toEqual([503, 'Retry-After']);
    return Number(headers[0]![1]);
  }
}

/** Enters, and records when the turn comes. */
function enter(pace: Pace, name: string, told: string[], group?: string): Place | undefined {
  const place = pace.enter(group);
  place?.turn.promise.then(
    () => told.push(name),
    (error: HandshakeError) => told.push(`${name} ${error.status}`),
  );
  return place;
}

const microtasks = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await Promise.resolve();
};

describe('102 handshakes: a pace', () => {
  it('lets a burst begin, then serves those that wait in their order', async () => {
    const clock = stopClock();
    const pace = paceOf({ burst: 2 });
    const told: string[] = [];
    expect([pace.enter(undefined), pace.enter(undefined)]).toEqual([undefined, undefined]);
    for (const name of ['a', 'b', 'c']) enter(pace, name, told);
    expect(pace.waiting).toBe(3);
    pace.fire();
    clock.advance(10);
    pace.fire();
    await microtasks();
    expect(told).toEqual(['a']);
    clock.advance(20);
    pace.fire();
    await microtasks();
    expect([told, pace.waiting]).toEqual([['a', 'b', 'c'], 0]);
  });

  it('does not let a new handshake pass those that wait', () => {
    const clock = stopClock();
    const pace = paceOf({});
    pace.enter(undefined);
    pace.enter(undefined);
    clock.advance(10);
    expect(pace.enter(undefined)).toBeDefined();
    pace.refuseAll(new Error('over'));
  });

  it('gives a place back, and serves the next one', async () => {
    const clock = stopClock();
    const pace = paceOf({ wait: 20 });
    pace.enter(undefined);
    const told: string[] = [];
    const first = enter(pace, 'first', told)!;
    enter(pace, 'second', told);
    expect(refusal(() => pace.enter(undefined))).toBe(1);
    pace.leave(first);
    pace.leave(first);
    expect(pace.waiting).toBe(1);
    enter(pace, 'third', told);
    clock.advance(10);
    pace.fire();
    await microtasks();
    expect(told).toEqual(['second']);
    pace.refuseAll(new Error('over'));
  });

  it('has perSecond x wait places, never above maxHandshakes, and none with wait: 0', () => {
    stopClock();
    const placesOf = (pace: Pace): number => {
      pace.enter(undefined);
      while (refusal(() => pace.enter(undefined)) === undefined);
      const { waiting } = pace;
      pace.refuseAll(new Error('over'));
      return waiting;
    };
    expect(placesOf(paceOf({}))).toBe(300);
    expect(placesOf(paceOf({ wait: 1_000 }))).toBe(100);
    expect(placesOf(paceOf({}, 7))).toBe(7);
    expect(placesOf(paceOf({ wait: 0 }))).toBe(0);
  });

  it('gives one group a tenth of the places, and its refusals delay no one else', () => {
    stopClock();
    vi.spyOn(Math, 'random').mockReturnValue(1);
    onTestFinished(() => void vi.restoreAllMocks());
    const pace = paceOf({ wait: 1_000 });
    pace.enter(undefined);
    let places = 0;
    while (refusal(() => pace.enter('attacker')) === undefined) places++;
    expect(places).toBe(10);
    for (let i = 0; i < 1_000; i++) refusal(() => pace.enter('attacker'));
    for (let i = 0; i < 90; i++) expect(pace.enter(`victim ${i}`)).toBeDefined();
    expect(refusal(() => pace.enter('one more'))).toBe(1);
    expect(pace.refused).toBe(1_002);
    pace.refuseAll(new Error('over'));
  });

  it('asks each one to return after those that were refused before', () => {
    const clock = stopClock();
    vi.spyOn(Math, 'random').mockReturnValue(1);
    const pace = paceOf({ perSecond: 10, wait: 1_000 });
    for (let i = 0; i < 11; i++) pace.enter(undefined);
    // The queue ends in a second.
    const asked = Array.from({ length: 700 }, () => refusal(() => pace.enter(undefined)));
    expect([asked[0], asked[9], asked[99], asked[399], asked[699]]).toEqual([1, 2, 11, 41, 60]);
    vi.spyOn(Math, 'random').mockReturnValue(0);
    expect(refusal(() => pace.enter(undefined))).toBe(30);
    // When all of them could have returned, the wait is that of the queue again.
    clock.advance(100_000);
    pace.fire();
    for (let i = 0; i < 20; i++) refusal(() => pace.enter(undefined));
    expect(refusal(() => pace.enter(undefined))).toBeLessThanOrEqual(2);
    pace.refuseAll(new Error('over'));
    vi.restoreAllMocks();
  });

  it('refuses those that have waited too long, and begins at most 16 in a turn', async () => {
    const clock = stopClock();
    const pace = paceOf({ burst: 200, wait: 500 });
    for (let i = 0; i < 200; i++) pace.enter(undefined);
    const told: string[] = [];
    for (let i = 0; i < 40; i++) enter(pace, `${i}`, told);
    clock.advance(400);
    pace.fire();
    await microtasks();
    expect(told).toHaveLength(16);
    clock.advance(5_000);
    pace.fire();
    await microtasks();
    expect(told.slice(16)).toEqual(Array.from({ length: 24 }, (_, i) => `${i + 16} 503`));
  });

  it('gets no token when the clock jumps back, and a burst when it jumps ahead', () => {
    const clock = stopClock();
    const pace = paceOf({ burst: 3, wait: 0 });
    for (let i = 0; i < 3; i++) pace.enter(undefined);
    clock.advance(-3_600_000);
    expect(refusal(() => pace.enter(undefined))).toBeLessThanOrEqual(60);
    clock.advance(10);
    expect(pace.enter(undefined)).toBeUndefined();
    clock.advance(86_400_000);
    for (let i = 0; i < 3; i++) expect(pace.enter(undefined)).toBeUndefined();
    expect(refusal(() => pace.enter(undefined))).toBe(1);
  });

  it('is divided by the workers', () => {
    stopClock();
    const plan = checkPace({ perSecond: 100, burst: 200, wait: 1_000 }, 4, 1_024);
    expect(plan).toEqual({ perMs: 0.025, size: 50, wait: 1_000, places: 25 });
  });

  it.each([
    [5, TypeError, 'handshakes'],
    [{}, TypeError, 'handshakes.perSecond'],
    [{ perSecond: 0 }, RangeError, 'handshakes.perSecond'],
    [{ perSecond: 1, burst: 0 }, RangeError, 'handshakes.burst'],
    [{ perSecond: 1, wait: -1 }, RangeError, 'handshakes.wait'],
    [{ perSecond: 1, wait: 10_001 }, RangeError, 'handshakes.wait'],
    [{ perSecond: 1, every: 5 }, TypeError, 'every'],
  ])('refuses %j', (value, type, name) => {
    const check = (): unknown => checkPace(value, 1, 1_024);
    expect(check).toThrow(type);
    expect(check).toThrow(name);
  });
});
