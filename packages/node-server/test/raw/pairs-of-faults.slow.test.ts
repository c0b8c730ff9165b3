import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { nothingLeft, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { serve, Upgrader } from '../../src/index.ts';
import { serveRaw } from '../../src/raw/index.ts';
import { exchange, KEY } from '../raw.ts';

/** A request: its request line and its header lines. */
interface Sent {
  line: string;
  lines: string[];
}

type Change = (sent: Sent) => void;

const without =
  (name: string): Change =>
  (sent) => {
    sent.lines = sent.lines.filter((line) => !line.toLowerCase().startsWith(`${name}:`));
  };
const add =
  (...lines: string[]): Change =>
  (sent) =>
    void sent.lines.push(...lines);
const replace =
  (name: string, ...lines: string[]): Change =>
  (sent) => {
    without(name)(sent);
    sent.lines.push(...lines);
  };
const line =
  (from: RegExp, to: string): Change =>
  (sent) => {
    sent.line = sent.line.replace(from, to);
  };

/** A fault for each rule of a request, and each step of the application. */
const FAULTS: Readonly<Record<string, Change>> = {
  'HTTP/1.0': line(/1\.1$/, '1.0'),
  'no Host': without('host'),
  'two Hosts': add('Host: localhost'),
  'a malformed Host': replace('host', 'Host: a b'),
  'a body': add('Content-Length: 1'),
  'a coding': add('Transfer-Encoding: chunked'),
  'no upgrade in Connection': replace('connection', 'Connection: close'),
  'no Upgrade': without('upgrade'),
  'another Upgrade': replace('upgrade', 'Upgrade: h2c'),
  POST: line(/^GET/, 'POST'),
  'no version': without('sec-websocket-version'),
  'two versions': add('Sec-WebSocket-Version: 13', 'Sec-WebSocket-Version: 13'),
  'another version': replace('sec-websocket-version', 'Sec-WebSocket-Version: 8'),
  'a target of another host': line(/ \//, ' http://elsewhere.example/'),
  'a target with a fragment': line(/ HTTP/, '#a HTTP'),
  'a target that cannot be decoded': line(/ HTTP/, '%zz HTTP'),
  'a path without a route': line(/chat/, 'none'),
  'a foreign origin': add('Origin: https://elsewhere.example'),
  'two origins': add('Origin: http://localhost', 'Origin: http://localhost'),
  'no key': without('sec-websocket-key'),
  'a malformed key': replace('sec-websocket-key', 'Sec-WebSocket-Key: short'),
  'two keys': add(`Sec-WebSocket-Key: ${KEY}`),
  'malformed extensions': add('Sec-WebSocket-Extensions: "'),
  'malformed subprotocols': add('Sec-WebSocket-Protocol: a b'),
  'a malformed version': add('Sec-WebSocket-Version: a b'),
  'one more version': add('Sec-WebSocket-Version: 13'),
  'a subprotocol twice': add('Sec-WebSocket-Protocol: a', 'Sec-WebSocket-Protocol: a'),
  'a refusal of the application': replace('x-refuse', 'X-Refuse: 418'),
};

function requestWith(changes: readonly Change[]): Buffer {
  const sent: Sent = {
    line: 'GET /chat HTTP/1.1',
    lines: [
      'Host: localhost',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Key: ${KEY}`,
      'Sec-WebSocket-Version: 13',
    ],
  };
  for (const change of changes) change(sent);
  return Buffer.from(`${[sent.line, ...sent.lines].join('\r\n')}\r\n\r\n`);
}

const options = {
  subprotocols: ['a'],
  report: () => {},
};
const refuses = (value: string | undefined) => (value === undefined ? true : { refuse: 418 });

async function statusOf(port: number, bytes: Buffer): Promise<number> {
  return (await exchange(port, bytes)).status;
}

/** Ports of the three servers. */
async function servers(): Promise<readonly (readonly [name: string, port: number])[]> {
  // A client gets the whole answer, and then the end: the connection closes at once.
  const close = { '/chat': (conn: { terminate(): void }) => setImmediate(() => conn.terminate()) };
  const raw = await serveRaw(
    {
      ...options,
      port: 0,
      host: '127.0.0.1',
      authenticate: (facts) => refuses(facts.once('x-refuse')),
    },
    close,
  );
  const node = await serve(
    {
      ...options,
      port: 0,
      host: '127.0.0.1',
      authenticate: (req) => refuses(req.headers['x-refuse'] as string),
    },
    close,
  );
  const upgrader = new Upgrader({
    ...options,
    authenticate: (req) => refuses(req.headers['x-refuse'] as string),
  });
  // Its own listener for 'request' answers as that of `serve`.
  const http = createServer({ requireHostHeader: false });
  http.on('request', node.http.listeners('request')[0] as () => void);
  http.on('upgrade', upgrader.handler(close));
  await new Promise<void>((listening) => http.listen(0, '127.0.0.1', listening));
  whenOver(async () => {
    await Promise.all([
      raw.close({ timeout: 1 }),
      node.close({ timeout: 1 }),
      upgrader.close({ timeout: 1 }),
    ]);
    http.closeAllConnections();
    await new Promise((closed) => http.close(closed));
  });
  const portOf = (url: string): number => Number(new URL(url).port);
  return [
    ['serveRaw', portOf(raw.url)],
    ['serve', portOf(node.url)],
    ['Upgrader', (http.address() as AddressInfo).port],
  ];
}

describe('serveRaw, serve and an Upgrader', () => {
  nothingLeft();

  it('give the same status for every pair of faults, and never 500', async () => {
    const all = await servers();
    const names = Object.keys(FAULTS);
    const different: string[] = [];
    for (const [i, first] of names.entries()) {
      await Promise.all(
        names.slice(i).map(async (second) => {
          const bytes = requestWith([FAULTS[first]!, FAULTS[second]!]);
          const statuses = await Promise.all(all.map(([, port]) => statusOf(port, bytes)));
          const isSame = new Set(statuses).size === 1 && !statuses.includes(500);
          if (!isSame) different.push(`${first}, then ${second}: ${statuses.join(' ')}`);
        }),
      );
    }
    expect(different).toEqual([]);
  });
});
