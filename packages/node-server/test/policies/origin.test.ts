import { isSameHost } from '@ws/codec/internal';
import { describe, expect, it } from 'vitest';
import type { AppRequest } from '../../src/conn-handler.ts';
import { RequestHeaders } from '../../src/headers.ts';
import { Upgrader } from '../../src/index.ts';
import { OriginPolicy } from '../../src/policies/origin.ts';

describe('isSameHost', () => {
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
    expect(isSameHost(origin, host)).toBe(true);
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
    expect(isSameHost(origin, host)).toBe(false);
  });

  it('reads the longest header', () => {
    // With more than linear time the test would time out.
    for (const part of ['a:', 'a.', '[', 'https://', ' ', '@']) {
      const long = `https://${part.repeat(100_000)}`;
      expect(isSameHost(long, `${long}!`)).toBe(false);
    }
  });
});

describe('sameHost', () => {
  it.each([
    ['https', 'https://example.org', 'example.org', true],
    ['https', 'https://example.org:8443', 'example.org:8443', true],
    ['https', 'http://example.org', 'example.org', false],
    ['https', 'http://example.org:443', 'example.org:443', false],
    [false, 'https://example.org', 'example.org', false],
    [false, 'http://example.org', 'example.org', false],
  ] as const)('%o: whether %s gets in at %s is %o', (pages, origin, host, expected) => {
    expect(isSameHost(origin, host, pages)).toBe(expected);
  });

  it('false admits listed origins and requests without an Origin', () => {
    const policy = new OriginPolicy(['https://example.org', 'app://local'], undefined, false);
    const allows = (...origin: string[]): unknown => {
      const rawHeaders = ['Host', 'example.org', ...origin.flatMap((one) => ['Origin', one])];
      const req = { rawHeaders } as AppRequest;
      return policy.allows(new RequestHeaders(req));
    };
    expect(allows()).toBe(true);
    expect(allows('https://example.org')).toBe(true);
    expect(allows('app://local')).toBe(true);
    expect(allows('http://example.org')).toBe(false);
  });

  it.each(['http', '', 1, null, {}])('rejects %o with an error that names it', (sameHost) => {
    expect(() => new Upgrader({ sameHost: sameHost as never })).toThrow(
      /^sameHost: expected true, false or 'https', got /,
    );
  });

  it('cannot be combined with checkOrigin', () => {
    const options = { sameHost: false, checkOrigin: () => true };
    expect(() => new Upgrader(options)).toThrow(/^sameHost: .*checkOrigin/);
  });
});

describe('allowedOrigins', () => {
  const allows = (allowed: readonly string[], origin: string): unknown => {
    const req = { rawHeaders: ['Host', 'ws.internal', 'Origin', origin] } as AppRequest;
    return new OriginPolicy(allowed, undefined).allows(new RequestHeaders(req));
  };

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
    expect(allows([allowed], origin)).toBe(true);
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
    expect(allows([allowed], origin)).toBe(false);
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
    expect(() => new Upgrader({ allowedOrigins: [entry] })).toThrow(TypeError);
  });
});
