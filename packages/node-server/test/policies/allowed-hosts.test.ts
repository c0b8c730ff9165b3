import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { Upgrader } from '../../src/index.ts';
import { HostPolicy } from '../../src/policies/allowed-hosts.ts';
import { IncomingFacts } from '../../src/request.ts';
import { type Answer, exchange, request, TestServer, trapLeftovers } from '../raw.ts';

trapLeftovers();

describe('allowedHosts', () => {
  const allows = (allowed: readonly string[] | undefined, host: string): boolean => {
    const req = { rawHeaders: ['Host', host] } as IncomingMessage;
    return new HostPolicy(allowed).allows(new IncomingFacts(req));
  };

  it.each([
    ['example.org', 'example.org'],
    ['example.org', 'EXAMPLE.org:8080'],
    ['Example.ORG', 'example.org'],
    ['example.org.', 'example.org.'],
    ['example.org.', 'example.org'],
    ['example.org', 'example.org.:8080'],
    ['*.example.org', 'app.example.org.'],
    ['localhost', 'localhost:3000'],
    ['127.0.0.1', '127.0.0.1:3000'],
    ['[::1]', '[0:0:0:0:0:0:0:1]:3000'],
    ['*.example.org', 'app.example.org'],
    ['*.example.org', 'a.b.example.org:443'],
  ])('%s takes %s', (allowed, host) => {
    expect(allows(['other.example', allowed], host)).toBe(true);
  });

  it.each([
    ['example.org', 'evil.example'],
    ['example.org', 'app.example.org'],
    ['example.org', 'evilexample.org'],
    ['example.org', 'example.org.evil.example'],
    ['example.org', 'example.org..'],
    ['example.org', '.'],
    ['*.example.org', 'example.org'],
    ['*.example.org', 'example.org.'],
    ['*.example.org', '..example.org'],
    ['*.example.org', 'a..example.org'],
    ['*.example.org', 'a,b.example.org'],
    ['*.example.org', 'evil.example,a.example.org'],
    ['*.example.org', '.example.org'],
    ['*.example.org', 'evilexample.org'],
    ['*.example.org', 'app.example.org.evil.example'],
    ['127.0.0.1', 'localhost'],
    ['[::1]', '[::2]'],
  ])('%s does not take %s', (allowed, host) => {
    expect(allows([allowed], host)).toBe(false);
  });

  it('accepts any name without a list, and none with an empty list', () => {
    expect(allows(undefined, 'evil.example')).toBe(true);
    expect(allows([], 'example.org')).toBe(false);
  });

  it.each([
    '*',
    '',
    '*.',
    '.',
    '*..',
    '.example.org',
    'a..example.org',
    'example.org,other.example',
    'example.org:8080',
    'example.org:',
    'https://example.org',
    'example.org/',
    'a.*.org',
    '*.*.org',
    '*.[::1]',
    '::1',
    '[::g]',
    'a b',
    'a@b',
    5 as unknown as string,
    undefined as unknown as string,
  ])('refuses the entry %j', (entry) => {
    expect(() => new Upgrader({ allowedHosts: [entry] })).toThrow(TypeError);
    expect(() => new Upgrader({ allowedHosts: [entry] })).toThrow('allowedHosts');
  });

  it.each(['example.org', null, 5, {}])('refuses %j instead of a list', (list) => {
    expect(() => new Upgrader({ allowedHosts: list as never })).toThrow(/^allowedHosts: expected/);
  });

  it('refuses a page that has rebound its own name, for any result of checkOrigin', async () => {
    const asked: unknown[] = [];
    const upgrader = new Upgrader({
      allowedHosts: ['localhost'],
      checkOrigin: (req) => asked.push(req.headers.host) > 0,
      authenticate: () => ({ refuse: 418 }),
    });
    const server = await new TestServer(upgrader).listen();
    const ask = (host: string): Promise<Answer> =>
      exchange(server.port, request({ set: [`Host: ${host}`], add: [`Origin: http://${host}`] }));
    const rebound = await ask('evil.example');
    expect(rebound.status).toBe(421);
    expect(rebound.headers.get('connection')).toBe('close');
    expect(rebound.body).toBe('host evil.example is not allowed\n');
    expect(asked).toEqual([]);
    expect((await ask('localhost:3000')).status).toBe(418);
    await server.close();
  });
});
