import { describe, expect, it } from 'vitest';
import type { HandshakeError } from '../../src/index.ts';
import { checkLimits, type Limit } from '../../src/policies/limit-options.ts';
import { type Key, LimitedKeys } from '../../src/policies/limited-keys.ts';
import { stopClock } from '../clock.ts';

const keysOf = (limit: Partial<Limit>, closed: object[] = []): LimitedKeys => {
  const [plan] = checkLimits([{ by: () => 1, ...limit }]);
  return new LimitedKeys(plan!, (connection) => void closed.push(connection));
};

function take(keys: LimitedKeys, id: string | number): Key | number {
  try {
    return keys.count(id);
  } catch (error) {
    expect((error as HandshakeError).headers[0]![0]).toBe('Retry-After');
    return (error as HandshakeError).status;
  }
}

describe('102 limits: a key', () => {
  it('has a bound of connections, which another key does not share', () => {
    const keys = keysOf({ connections: 2 });
    const first = keys.count('ada');
    keys.count('ada');
    expect(take(keys, 'ada')).toBe(429);
    expect(take(keys, 1)).not.toBe(429);
    keys.giveBack(first, undefined);
    expect(take(keys, 'ada')).not.toBe(429);
  });

  it('is a text or a number, which are two', () => {
    const keys = keysOf({ connections: 1 });
    keys.count('1');
    expect(take(keys, 1)).not.toBe(429);
    expect(take(keys, '1')).toBe(429);
  });

  it('remembers its handshakes after its last connection, until its bucket is full', () => {
    const clock = stopClock();
    const keys = keysOf({ handshakes: { perSecond: 1, burst: 2 } });
    for (let i = 0; i < 2; i++) keys.giveBack(keys.count('ada'), undefined);
    expect(take(keys, 'ada')).toBe(429);
    expect(take(keys, 'bob')).not.toBe(429);
    clock.advance(1_000);
    keys.giveBack(keys.count('ada'), undefined);
    expect(take(keys, 'ada')).toBe(429);
  });

  it('takes no token for a handshake above the bound of connections', () => {
    stopClock();
    const keys = keysOf({ connections: 1, handshakes: { perSecond: 1, burst: 2 } });
    const first = keys.count('ada');
    for (let i = 0; i < 5; i++) expect(take(keys, 'ada')).toBe(429);
    keys.giveBack(first, undefined);
    expect(take(keys, 'ada')).not.toBe(429);
  });

  it('closes the oldest connection once, and counts the newest', () => {
    const closed: object[] = [];
    const keys = keysOf({ connections: 2, over: 'oldest' }, closed);
    const open = Array.from({ length: 5 }, (_, n) => {
      const key = keys.count('ada');
      const connection = { n };
      key.open!.add(connection);
      return { key, connection };
    });
    expect(closed).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }]);
    // Those that were closed end later, and free no place.
    for (const { key, connection } of open.slice(0, 3)) keys.giveBack(key, connection);
    keys.count('ada').open!.add({ n: 5 });
    expect(closed.at(-1)).toEqual({ n: 3 });
  });

  it('refuses with over: oldest while nothing of the key is open', () => {
    const keys = keysOf({ connections: 1, over: 'oldest' });
    keys.count('ada');
    expect(take(keys, 'ada')).toBe(429);
  });

  it('keeps 100,000 keys without a connection, and forgets the fullest of those it looks at', () => {
    const clock = stopClock();
    const keys = keysOf({ handshakes: { perSecond: 1, burst: 3 } });
    for (let i = 0; i < 3; i++) keys.giveBack(keys.count('attacker'), undefined);
    for (let i = 0; i < 300_000; i++) keys.giveBack(keys.count(i), undefined);
    // The clock stands: no bucket has filled, and the emptiest one is still known.
    expect(take(keys, 'attacker')).toBe(429);
    clock.advance(3_000);
    for (let i = 0; i < 20_000; i++) keys.giveBack(keys.count(-1 - i), undefined);
    expect(take(keys, 'attacker')).not.toBe(429);
  });

  it('never refuses a new key', () => {
    stopClock();
    const keys = keysOf({ handshakes: { perSecond: 1 } });
    for (let i = 0; i < 150_000; i++) keys.count(i);
    expect(typeof take(keys, 'one more')).toBe('object');
  });
});

describe('102 limits', () => {
  it.each([
    [5, TypeError, 'limits'],
    [{ by: 'address', connections: 5 }, TypeError, 'limits'],
    [[5], TypeError, 'limits'],
    [[{ connections: 5 }], TypeError, 'by'],
    [[{ by: 'user', connections: 5 }], TypeError, 'by'],
    [[{ by: 'address' }], TypeError, 'connections, rate or handshakes'],
    [[{ by: 'address', connections: 0 }], RangeError, 'limits.connections'],
    [[{ by: 'address', connections: 5, over: 'newest' }], TypeError, 'limits.over'],
    [[{ by: 'address', rate: { messages: 5 }, over: 'oldest' }], TypeError, 'limits.over'],
    [[{ by: 'address', rate: {} }], TypeError, 'rate'],
    [[{ by: 'address', handshakes: { perSecond: 1, wait: 5 } }], TypeError, 'wait'],
    [[{ by: 'address', per: 5 }], TypeError, 'per'],
  ])('refuses %j', (value, type, name) => {
    expect(() => checkLimits(value)).toThrow(type);
    expect(() => checkLimits(value)).toThrow(name);
  });
});
