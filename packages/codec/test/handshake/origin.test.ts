import { describe, expect, it } from 'vitest';
import { AllowedOrigins, type SameHost } from '../../src/index.ts';

function allows(
  origin: string | undefined,
  host: string,
  allowed: readonly string[] = [],
  sameHost?: SameHost,
): boolean {
  return new AllowedOrigins(allowed, sameHost).allows({
    has: () => true,
    once: () => origin,
    list: () => host,
  });
}

describe('AllowedOrigins without a list', () => {
  it.each([
    ['https://example.org', 'example.org'],
    ['https://example.org', 'example.org:443'],
    ['https://example.org:443', 'example.org'],
    ['http://example.org', 'example.org:80'],
    ['http://example.org:8080', 'example.org:8080'],
    ['HTTPS://EXAMPLE.org', 'Example.ORG'],
    ['http://[::1]:3000', '[::1]:3000'],
    ['http://127.0.0.1:3000', '127.0.0.1:3000'],
    ['http://user:secret@example.org', 'example.org'],
    ['http://example.org/path?query', 'example.org'],
    ['http://example.org:', 'example.org'],
    ['ws://example.org', 'example.org'],
    ['wss://example.org', 'example.org'],
    ['WSS://Example.org', 'example.org:443'],
    ['ws://example.org', 'example.org:80'],
  ])('lets %s in at %s', (origin, host) => {
    expect(allows(origin, host)).toBe(true);
  });

  it.each([
    ['', 'example.org'],
    ['null', 'example.org'],
    ['example.org', 'example.org'],
    ['https://', 'example.org'],
    ['https:///example.org', 'example.org'],
    ['https://evil.example', 'example.org'],
    ['https://example.org.evil.example', 'example.org'],
    ['https://example.org.', 'example.org'],
    ['https://evil-example.org', 'example.org'],
    ['https://example.org@evil.example', 'example.org'],
    ['https://example.org:8443', 'example.org'],
    ['https://example.org', 'example.org:80'],
    ['http://example.org', 'example.org:443'],
    ['https://a:b', 'a'],
    ['https://a:b', 'a:b'],
    ['https://a:1:2', 'a:1'],
    ['https://a:65536', 'a:65536'],
    ['https://a:999999', 'a:999999'],
    ['https://a b', 'a b'],
    ['https://a\\b', 'a\\b'],
    ['https://a,b', 'a,b'],
    ['https://a%2eb', 'a%2eb'],
    ['https://evil.example\\@example.org', 'example.org'],
    ['https://evil.example,@example.org', 'example.org'],
    ['https://exämple.org', 'exämple.org'],
    ['https://[::1', '[::1'],
    ['https://[::1]x', '[::1]x'],
    ['https://example.org', ''],
    ['https://example.org, https://example.org', 'example.org'],
    ['javascript:alert(1)', 'example.org'],
    ['file://example.org', 'example.org'],
    ['x-evil://example.org', 'example.org'],
    ['x-evil://example.org:8080', 'example.org:8080'],
    ['app://local', 'local'],
    ['httpx://example.org', 'example.org'],
  ])('keeps %s out at %s', (origin, host) => {
    expect(allows(origin, host)).toBe(false);
  });

  it('reads the longest header', () => {
    // With more than linear time the test would time out.
    for (const part of ['a:', 'a.', '[', 'https://', ' ', '@']) {
      const long = `https://${part.repeat(100_000)}`;
      expect(allows(long, `${long}!`)).toBe(false);
    }
  });

  it.each([
    ['https', 'https://example.org', 'example.org', true],
    ['https', 'https://example.org:8443', 'example.org:8443', true],
    ['https', 'http://example.org', 'example.org', false],
    ['https', 'http://example.org:443', 'example.org:443', false],
    [false, 'https://example.org', 'example.org', false],
    [false, 'http://example.org', 'example.org', false],
  ] as const)('sameHost %o: whether %s gets in at %s is %o', (sameHost, origin, host, expected) => {
    expect(allows(origin, host, [], sameHost)).toBe(expected);
  });

  it('lets a request without an Origin in, and keeps a repeated one out', () => {
    const origins = new AllowedOrigins();
    const once = (): undefined => undefined;
    const list = (): string => 'example.org';
    expect(origins.allows({ has: () => false, once, list })).toBe(true);
    expect(origins.allows({ has: () => true, once, list })).toBe(false);
  });
});

describe('AllowedOrigins with a list', () => {
  it.each([
    ['https://example.org', 'https://example.org'],
    ['https://example.org', 'https://EXAMPLE.org:443'],
    ['https://example.org:8443', 'https://example.org:8443'],
    ['https://*.example.org', 'https://app.example.org'],
    ['https://*.example.org', 'https://a.b.example.org'],
    ['http://*.example.org:3000', 'http://app.example.org:3000'],
    ['chrome-extension://abcdef', 'chrome-extension://abcdef'],
    ['https://elsewhere.example', 'http://ws.internal'],
    ['null', 'null'],
    ['null', 'http://ws.internal'],
    ['https://[::1]:8443', 'https://[0:0:0:0:0:0:0:1]:8443'],
  ])('%s takes %s', (allowed, origin) => {
    expect(allows(origin, 'ws.internal', [allowed])).toBe(true);
  });

  it.each([
    ['https://example.org', 'http://example.org'],
    ['https://example.org', 'https://example.org:8443'],
    ['https://example.org', 'https://app.example.org'],
    ['https://*.example.org', 'https://example.org'],
    ['https://*.example.org', 'https://.example.org'],
    ['https://*.example.org', 'https://evilexample.org'],
    ['https://*.example.org', 'https://app.example.org.evil.example'],
    ['https://*.example.org', 'http://app.example.org'],
    ['https://*.example.org', 'https://evil.example,.example.org'],
    ['https://*.example.org', 'https://evil.example%2f.example.org'],
    ['https://*.example.org', 'https://evil.example\\.example.org'],
    ['https://example.org', 'null'],
    ['null', 'https://example.org'],
    ['null', 'NULL'],
  ])('%s does not take %s', (allowed, origin) => {
    expect(allows(origin, 'ws.internal', [allowed])).toBe(false);
  });

  it.each([
    '*',
    'NULL',
    '',
    'example.org',
    'https://',
    'https://example.org/',
    'https://example.org/path',
    'https://user@example.org',
    'https://a.*.org',
    'https://*',
    'https://*.',
    'https://a b',
    5 as unknown as string,
    undefined as unknown as string,
  ])('refuses the entry %j', (entry) => {
    expect(() => new AllowedOrigins([entry])).toThrow(TypeError);
  });
});
