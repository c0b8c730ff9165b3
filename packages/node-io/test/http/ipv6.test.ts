import { expect, test } from 'vitest';
import { ipv6Groups } from '../../src/internal.ts';

test.each([
  { address: '::', groups: [0, 0, 0, 0, 0, 0, 0, 0] },
  { address: '::1', groups: [0, 0, 0, 0, 0, 0, 0, 1] },
  { address: '2001:db8::', groups: [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0] },
  { address: '2001:db8::ff:1', groups: [0x2001, 0xdb8, 0, 0, 0, 0, 0xff, 1] },
  { address: '1:2:3:4:5:6:7:8', groups: [1, 2, 3, 4, 5, 6, 7, 8] },
  { address: '::ffff:192.0.2.1', groups: [0, 0, 0, 0, 0, 0xffff, 0xc000, 0x201] },
])('ipv6Groups reads $address', ({ address, groups }) => {
  expect(ipv6Groups(address)).toEqual(groups);
});
