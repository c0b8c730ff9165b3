// Requests for which RFC 6455, section 4.2.1, has a rule, and pages of other sites.
import { describe, expect, it } from 'vitest';
import { KEY, type RequestChange } from '../kit/index.ts';
import { nothingLeft } from '../peers/index.ts';
import { atLeast, claim, survives } from './harness/index.ts';
import {
  commonValue,
  sendRequest,
  sendRequests,
  statusOf,
  targetServer,
  targetUpgrader,
} from './target-server.ts';

nothingLeft();

const KEYS = [
  ['dGhlIHNhbXBsZSBub25j' /* 15 bytes */, 'dGhlIHNhbXBsZSBub25jZWU=' /* 17 */, ''],
  ['dGhlIHNhbXBsZSBub25jZQ', 'dGhlIHNhbXBsZSBub25jZQ=', 'dGhlIHNhbXBsZSBub25jZQ==x'],
  ['_-hlIHNhbXBsZSBub25jZQ==', 'dGhlIHNhbXBsZSBub25*ZQ==', '='.repeat(24)],
  `${'A'.repeat(8_190)}==`,
].flat();
const ORIGIN = 'Origin: http://server.example.com';

const INVALID: readonly {
  readonly attack: string;
  readonly source: string;
  readonly changes: readonly RequestChange[];
}[] = [
  {
    attack: 'a second Key, Version, Host or Origin line',
    source: 'RFC 6455, 4.2.1',
    changes: [
      { add: [`Sec-WebSocket-Key: ${KEY}`] },
      { add: ['Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='] },
      { add: ['Sec-WebSocket-Version: 13'] },
      { add: ['Sec-WebSocket-Version: 8'] },
      { add: ['Host: server.example.com'] },
      { add: ['Host: evil.example'] },
      { add: [ORIGIN, ORIGIN] },
      { add: [ORIGIN, 'Origin: http://evil.example'] },
    ],
  },
  {
    attack: 'keys that are not 16 bytes of base64',
    source: 'RFC 6455, 4.2.1',
    changes: KEYS.map((key) => ({ set: [`Sec-WebSocket-Key: ${key}`] })),
  },
  {
    attack: 'an upgrade request with HTTP/1.0',
    source: 'RFC 6455, 4.2.1',
    changes: [
      { line: 'GET / HTTP/1.0' },
      { line: 'GET / HTTP/1.0', without: ['host'] },
      { line: 'GET / HTTP/1.0', add: ['Connection: keep-alive'] },
      { line: 'GET / HTTP/0.9' },
    ],
  },
  {
    attack: 'no Host, or two',
    source: 'RFC 9112, 3.2',
    changes: [
      { without: ['host'] },
      { set: ['Host:'] },
      { add: ['Host: server.example.com'] },
      { add: ['Host: evil.example'] },
      { set: ['Host: server.example.com, evil.example'] },
      { line: 'GET http://evil.example/ HTTP/1.1' },
    ],
  },
];

describe('a request', () => {
  it.each(INVALID)('with $attack is refused', async ({ changes, ...attack }) => {
    const target = await targetServer();
    await survives(attack, { status: 400, opened: 0 }, async (watch) => {
      const replies = await sendRequests(watch, target, changes);
      return { status: statusOf(replies), opened: target.opened };
    });
  });

  it('with another method, path or version gets 405, 404 or 426', async () => {
    const target = await targetServer({}, ['/chat']);
    const versions = ['7', '8', '13a', '', '0', '14', '013', '13, 8'];
    const attack = claim('another method, path or version', 'RFC 6455, 4.2.2 and 4.4');
    const bound = { method: 405, path: 404, version: 426, supported: '13', opened: 0 };
    await survives(attack, bound, async (watch) => {
      const methods = ['POST', 'PUT', 'DELETE', 'OPTIONS'].map((method) => ({
        line: `${method} /chat HTTP/1.1`,
      }));
      const version = await sendRequests(
        watch,
        target,
        versions.map((one) => ({ set: [`Sec-WebSocket-Version: ${one}`] })),
      );
      const path = await sendRequest(watch, target, { line: 'GET /other HTTP/1.1' });
      return {
        method: statusOf(await sendRequests(watch, target, methods)),
        path: path.status,
        version: statusOf(version),
        supported: commonValue(version.map(({ headers }) => headers.get('sec-websocket-version'))),
        opened: target.opened,
      };
    });
  });

  it('with lists and mixed case in Connection and Upgrade is accepted', async () => {
    const target = await targetServer();
    const fields: RequestChange[] = [
      { set: ['Connection: keep-alive, Upgrade'] },
      { set: ['Connection: UPGRADE', 'Upgrade: WebSocket'] },
      { set: ['Connection: ,\t,upGrade,,keep-alive'] },
      { set: ['Connection: keep-alive'], add: ['Connection: Upgrade'] },
      { set: ['Upgrade: foo, websocket'] },
      { set: ['Upgrade: foo/2, WEBSOCKET, bar'] },
      { set: ['Upgrade: foo'], add: ['Upgrade: websocket'] },
      { set: ['Upgrade: a b, websocket'] },
    ];
    const attack = claim('lists and mixed case in Connection and Upgrade', 'RFC 6455, 4.2.1');
    await survives(attack, { status: 101 }, async (watch) => {
      return { status: statusOf(await sendRequests(watch, target, fields)) };
    });
  });
});

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
