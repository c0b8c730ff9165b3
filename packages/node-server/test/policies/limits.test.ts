import { describe, expect, it } from 'vitest';
import { checkLimits } from '../../src/policies/limit-options.ts';
import { addressGroup, Limits, type Reservation } from '../../src/policies/limits.ts';

describe('addressGroup', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::ffff:c000:207', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::1', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
    ['64:ff9b::192.0.2.7', '64:ff9b:0:0::/64'],
    ['alice', 'alice'],
  ])('puts %s into %s', (address, group) => {
    expect(addressGroup(address)).toBe(group);
  });
});

describe('Limits', () => {
  const limits = (max: Partial<ConstructorParameters<typeof Limits>[0]>): Limits =>
    new Limits(
      {
        maxHandshakes: Infinity,
        maxConnections: Infinity,
        pace: undefined,
        entries: [],
        ...max,
      },
      () => {},
    );
  const refusal = (take: () => unknown): unknown => {
    try {
      take();
    } catch (error) {
      return (error as { status: number }).status;
    }
    return 'taken';
  };

  it('bounds pending handshakes, not finished ones', () => {
    const l = limits({ maxHandshakes: 1 });
    const first = l.reserve('a');
    expect(refusal(() => l.reserve('b'))).toBe(503);
    first.settled();
    first.opened({});
    const second = l.reserve('b');
    expect(refusal(() => l.reserve('c'))).toBe(503);
    second.giveBack();
    second.settled();
    expect(refusal(() => l.reserve('c'))).toBe('taken');
  });

  it('bounds connections, pending handshakes among them', () => {
    const l = limits({ maxConnections: 2 });
    const slots = [l.reserve('a'), l.reserve('b')];
    const connection = {};
    slots[0]!.opened(connection);
    slots[0]!.giveBack();
    expect(refusal(() => l.reserve('c'))).toBe(503);
    l.closed(connection);
    expect(refusal(() => l.reserve('c'))).toBe('taken');
    expect(refusal(() => l.reserve('c'))).toBe(503);
  });

  const perAddress = (connections: number): Limits =>
    limits({ entries: checkLimits([{ by: 'address', connections }]) });
  const admitted = (l: Limits, address?: string): Reservation => {
    const reservation = l.reserve(address);
    try {
      reservation.countAddress();
    } catch (error) {
      reservation.giveBack();
      throw error;
    }
    return reservation;
  };

  it('bounds connections by address, an IPv6 /64 being one', () => {
    const l = perAddress(2);
    const slots = [admitted(l, '2001:db8::1'), admitted(l, '2001:db8::2')];
    expect(refusal(() => admitted(l, '2001:db8::3'))).toBe(429);
    expect(refusal(() => admitted(l, '2001:db8:0:1::3'))).toBe('taken');
    slots[0]!.giveBack();
    slots[1]!.giveBack();
    expect(refusal(() => admitted(l, '2001:db8::3'))).toBe('taken');
  });

  it('does not count a client without an address', () => {
    const l = perAddress(1);
    for (let i = 0; i < 3; i++) admitted(l).opened({});
  });
});
