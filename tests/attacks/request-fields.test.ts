// Requests by pages of other sites.
import { describe, expect, it } from 'vitest';
import type { RequestChange } from '../kit/index.ts';
import { nothingLeft } from '../peers/index.ts';
import { atLeast, claim, survives } from './harness/index.ts';
import {
  sendRequest,
  sendRequests,
  statusOf,
  targetServer,
  targetUpgrader,
} from './target-server.ts';

nothingLeft();

/** Returns a request for each origin of each host. */
function pairs(origins: Readonly<Record<string, readonly string[]>>): RequestChange[] {
  return Object.entries(origins).flatMap(([host, all]) =>
    all.map((origin) => ({ set: [`Host: ${host}`], add: [`Origin: ${origin}`] })),
  );
}

/** Origins that differ from the host. */
const TRICKS = pairs({
  good: [
    ['null', '', 'http://good.evil', 'http://evil-good', 'http://evil.good', 'http://good.'],
    ['http://good:8080', 'http://good@evil', 'http://evil/good', 'http://evil#good'],
    ['http://evil?good', 'http://evil\\@good', 'http://evil,http://good', 'http://good%00.evil'],
    ['http://good:evil', 'http://good:99999', 'http://', 'good', 'http:good'],
    ['javascript:alert(1)', 'file://good', 'x-evil://good', 'ws://good.evil'],
  ].flat(),
  'good:8080': ['http://good'],
  'good:80': ['https://good'],
  a: ['http://a:b'],
  '[::1]': ['http://[::2]', 'http://[::1', 'http://::1'],
  '127.0.0.1': ['http://2130706433', 'http://0x7f.1', 'http://127.1', 'http://localhost'],
});

/** Origins that equal the host, in other notations. */
const SAME = pairs({
  good: ['http://good', 'HTTP://GOOD', 'http://good:80', 'https://good:443'],
  'good:80': ['http://good'],
  '127.0.0.1:8080': ['http://127.0.0.1:8080'],
  '[0:0:0:0:0:0:0:1]': ['http://[::1]'],
});

describe('a page', () => {
  it('of another site is refused with its cookies, before authenticate runs', async () => {
    const logins: unknown[] = [];
    const authenticate = (): boolean => logins.push('asked') > 0;
    const targets = [await targetServer({ authenticate }), await targetUpgrader({ authenticate })];
    const change = { add: ['Origin: https://evil.example', 'Cookie: session=good'] };
    const attack = claim(
      'an upgrade request by a page of another site, with cookies',
      'CVE-2025-24010',
    );
    await survives(attack, { status: 403, logins: 0 }, async (watch) => {
      const replies = [];
      for (const target of targets)
        replies.push(await sendRequest(watch, target, change, { weigh: true }));
      return { status: statusOf(replies), logins: logins.length };
    });
  });

  it('whose origin resembles the host is refused', async () => {
    const target = await targetServer();
    // A missing port is the default port of the scheme. http and https count as one, so that the
    // check works behind a proxy that ends TLS. `allowedOrigins` and `sameHost` compare the scheme.
    const attack = claim('origins that resemble the host', 'RFC 6454, 4');
    const bound = { cases: atLeast(20), status: 403, opened: 0, same: 101 };
    await survives(attack, bound, async (watch) => {
      const tricks = await sendRequests(watch, target, TRICKS);
      const opened = target.opened;
      const same = await sendRequests(watch, target, SAME);
      target.opened = 0;
      return { cases: tricks.length, status: statusOf(tricks), opened, same: statusOf(same) };
    });
    expect(target.reported).toEqual([]);
  });

  it('whose name points to this address is refused by allowedHosts', async () => {
    const allowedHosts = ['localhost', '*.example.org', '127.0.0.1'];
    const target = await targetServer({ allowedHosts });
    const as = (host: string): { set: string[]; add: string[] } => ({
      set: [`Host: ${host}`],
      add: [`Origin: http://${host}`],
    });
    const strangers = ['evil.example', 'evil.example:80', 'localhost.evil', 'example.org', '[::1]'];
    const names = ['localhost:3000', 'app.example.org', '127.0.0.1:8080'];
    const attack = claim(
      "a page whose name points to this server's address (DNS rebinding)",
      'CVE-2025-24010',
    );
    await survives(attack, { rebound: 421, ours: 101 }, async (watch) => {
      const rebound = await sendRequests(watch, target, strangers.map(as));
      const ours = await sendRequests(watch, target, names.map(as));
      return { rebound: statusOf(rebound), ours: statusOf(ours) };
    });
  });
});
