import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { formatExtensions } from '@ws/codec';
import { type HeadersInput, Upgrader } from '@ws/node-server';
import { it } from 'vitest';
import { masked, type RequestChange, request, turn } from '../kit/index.ts';
import { nothingLeft } from '../peers/index.ts';
import { atLeast, claim, survives } from './harness/index.ts';
import { MemorySocket, sendRequest, statusOf, targetServer } from './target-server.ts';

nothingLeft();

const INJECTED = 'a\r\nSet-Cookie: evil=1\r\n\r\n';

/** Returns how many of these functions throw. */
function thrownBy(ways: readonly (() => unknown)[]): number {
  return ways.filter((way) => {
    try {
      way();
      return false;
    } catch {
      return true;
    }
  }).length;
}

it("line breaks in the application's values throw before any byte is written", async () => {
  const upgrader = new Upgrader();
  const http = createServer();
  const outcomes = new EventEmitter();
  let headers: HeadersInput = {};
  http.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgrader.upgrade(req, socket, head, { headers }).then(
      () => outcomes.emit('over', 'accepted'),
      (error: unknown) => outcomes.emit('over', (error as Error).name),
    );
  });
  const bad: HeadersInput[] = [
    { 'X-A': INJECTED },
    { [INJECTED]: 'a' },
    { 'Set-Cookie': ['good=1', INJECTED] },
    [['X-A', 'a\nb']],
    [['X-A', 'a\0b']],
    { 'Sec-WebSocket-Protocol': INJECTED },
  ];
  const atOnce: (() => unknown)[] = [
    () => new Upgrader({ subprotocols: [INJECTED] }),
    () => new Upgrader({ subprotocols: ['good', 'a\nb'] }),
    () => formatExtensions([{ name: INJECTED, params: new Map() }]),
    () => formatExtensions([{ name: 'a', params: new Map([['b', INJECTED]]) }]),
  ];
  const target = await targetServer({ subprotocols: () => INJECTED });
  const refusing = await targetServer({
    authenticate: () => ({ refuse: 401, headers: { 'WWW-Authenticate': INJECTED } }),
  });
  // A function that runs at the time of a request cannot throw to a caller: the server
  // answers 500 and reports the error.
  const attack = claim("line breaks in the application's subprotocol and headers", 'CVE-2026-1527');
  const bound = { thrown: 'before any write', bytes: 0, failed: 500, injected: 0 };
  await survives(attack, bound, async (watch) => {
    let bytes = 0;
    const names: unknown[] = [];
    for (const each of bad) {
      headers = each;
      const wire = new MemorySocket(http);
      const over = once(outcomes, 'over');
      wire.push(request());
      names.push(...(await over));
      while (!wire.closed) await turn();
      bytes += wire.sent.length;
    }
    const failed = [
      await sendRequest(watch, target, { add: ['Sec-WebSocket-Protocol: a'] }),
      await sendRequest(watch, refusing, {}),
    ];
    return {
      thrown:
        thrownBy(atOnce) === atOnce.length && names.every((name) => name === 'TypeError')
          ? 'before any write'
          : names.join(),
      bytes,
      failed: statusOf(failed),
      injected: failed.filter(({ raw }) => /evil|cookie/i.test(raw)).length,
    };
  });
});

it('control characters of a peer are escaped in every message', async () => {
  const messages: string[] = [];
  const note = (error: unknown): void => void messages.push(String(error));
  const target = await targetServer(
    {
      error: (_req, _socket, status, error) => {
        note(error);
        return { status, body: '' };
      },
      report: note,
      subprotocols: (offered) => offered.join('\n'),
    },
    ['/chat'],
  );
  const evil = '\x9b31m\x85evil\x9d';
  const changes: RequestChange[] = [
    { line: 'GET /\x1b[31m HTTP/1.1' },
    { line: 'GET /%1b[31m%0aevil HTTP/1.1' },
    { line: `GET /${evil} HTTP/1.1` },
    { set: [`Host: ${evil}`] },
    { set: [`Connection: ${evil}, Upgrade`, `Upgrade: ${evil}`] },
    { set: [`Sec-WebSocket-Version: ${evil}`] },
    { set: [`Sec-WebSocket-Key: ${evil}`] },
    { add: [`Origin: http://${evil}`] },
    { add: [`Sec-WebSocket-Protocol: ${evil}`] },
    { add: [`Sec-WebSocket-Extensions: ${evil}`] },
    { add: ['Sec-WebSocket-Protocol: a, b'] },
  ];
  const reasons = ['\x1b[31m', 'line\r\nevil', '\x9b31m', '\u2028evil', '\u202eevil', '\0\x07'];
  const attack = claim('control characters in a path, a header and a close reason', 'CWE-117');
  const bound = { refusals: atLeast(8), messages: atLeast(14), unescaped: 0, escaped: 'Escaped' };
  await survives(attack, bound, async (watch) => {
    messages.length = 0;
    for (const change of changes) await sendRequest(watch, target, change);
    const refusals = messages.length;
    for (const reason of reasons) {
      const payload = Buffer.concat([Buffer.from([0x0f, 0xa0]), Buffer.from(reason)]);
      await sendRequest(watch, target, { behind: masked(8, payload) });
      await target.conn!.readMessage().catch(note);
    }
    const raw = messages.filter((message) => /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(message));
    return {
      refusals,
      messages: messages.length,
      unescaped: raw.length,
      escaped: messages.some((message) => message.includes('\\u001b[31m')) ? 'Escaped' : 'lost',
    };
  });
});
