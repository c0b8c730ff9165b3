import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { addressGroup, Limits } from '../src/limits.ts';

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
  const from = (address: string | undefined): IncomingMessage =>
    ({ socket: { remoteAddress: address } }) as IncomingMessage;
  const limits = (max: Partial<ConstructorParameters<typeof Limits>[0]>): Limits =>
    new Limits({
      maxHandshakes: Infinity,
      maxConnections: Infinity,
      maxConnectionsPerAddress: Infinity,
      clientAddress: (req) => req.socket.remoteAddress,
      ...max,
    });
  const refusal = (take: () => unknown): unknown => {
    try {
      take();
    } catch (error) {
      return (error as { status: number }).status;
    }
    return 'taken';
  };

  it('bounds pending handshakes, not those that are over', () => {
    const l = limits({ maxHandshakes: 1 });
    const first = l.take(from('a'));
    expect(refusal(() => l.take(from('b')))).toBe(503);
    first.settled();
    first.settled();
    const second = l.take(from('b'));
    expect(refusal(() => l.take(from('c')))).toBe(503);
    second.free();
    second.settled();
    expect(refusal(() => l.take(from('c')))).toBe('taken');
  });

  it('bounds connections, pending handshakes among them', () => {
    const l = limits({ maxConnections: 2 });
    const slots = [l.take(from('a')), l.take(from('b'))];
    slots[0]!.settled();
    expect(refusal(() => l.take(from('c')))).toBe(503);
    slots[0]!.free();
    slots[0]!.free();
    expect(refusal(() => l.take(from('c')))).toBe('taken');
    expect(refusal(() => l.take(from('c')))).toBe(503);
  });

  it('bounds connections by address, an IPv6 /64 being one', () => {
    const l = limits({ maxConnectionsPerAddress: 2 });
    const slots = [l.take(from('2001:db8::1')), l.take(from('2001:db8::2'))];
    expect(refusal(() => l.take(from('2001:db8::3')))).toBe(429);
    expect(refusal(() => l.take(from('2001:db8:0:1::3')))).toBe('taken');
    slots[0]!.free();
    slots[1]!.free();
    expect(refusal(() => l.take(from('2001:db8::3')))).toBe('taken');
  });

  it('does not count a client without an address', () => {
    const l = limits({ maxConnectionsPerAddress: 1 });
    for (let i = 0; i < 3; i++) l.take(from(undefined)).settled();
  });

  it('asks for no address when it is not bounded by it', () => {
    const l = limits({
      clientAddress: () => {
        throw new Error('asked');
      },
    });
    l.take(from('a')).free();
  });
});
