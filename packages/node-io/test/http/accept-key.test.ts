import { expect, test } from 'vitest';
import { acceptKey } from '../../src/internal.ts';

test('acceptKey answers the key of RFC 6455, section 1.3, as the RFC does', () => {
  expect(acceptKey('dGhlIHNhbXBsZSBub25jZQ==')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
});
