import { describe, expect, it } from 'vitest';
import type { AppRequest } from '../../src/conn-handler.ts';
import { Upgrader } from '../../src/index.ts';
import { OriginPolicy } from '../../src/policies/origin.ts';
import { IncomingFacts } from '../../src/request.ts';

describe('sameHost', () => {
  it('false admits listed origins and requests without an Origin', () => {
    const policy = new OriginPolicy(['https://example.org', 'app://local'], undefined, false);
    const allows = (...origin: string[]): unknown => {
      const rawHeaders = ['Host', 'example.org', ...origin.flatMap((one) => ['Origin', one])];
      const req = { rawHeaders } as AppRequest;
      return policy.allows(new IncomingFacts(req));
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
