import { expect, test } from 'vitest';
import { acceptKeyByCrypto } from '../../src/internal.ts';

test('acceptKeyByCrypto answers the key of RFC 6455, section 1.3, as the RFC does', () => {
  expect(acceptKeyByCrypto('dGhlIHNhbXBsZSBub25jZQ==')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
});
