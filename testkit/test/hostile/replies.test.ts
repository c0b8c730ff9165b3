// What the peer, or the application, would write into our answers and our logs.
import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { formatExtensions } from '@ws/codec';
import { type HeadersInput, Upgrader } from '@ws/node-server';
import { describe, it } from 'vitest';
import { survives } from '../../src/hostile/index.ts';
import { masked, type RequestChange, request, turn } from '../../src/index.ts';
import { nothingLeft } from '../../src/peers/index.ts';
import { ask, attacked, statusOf, Wire } from './asking.ts';

const INJECTED = 'a\r\nSet-Cookie: evil=1\r\n\r\n';

/** Says by how many of these an error is thrown. */
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

describe('line ends in what the application gives', () => {
  nothingLeft();

  it('are thrown back at it before anything is written', async () => {
    const upgrader = new Upgrader();
    const http = createServer();
    const outcomes = new EventEmitter();
    let headers: HeadersInput = {};
    http.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
      upgrader.upgrade(req, socket, head, headers).then(
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
    const target = await attacked({ subprotocols: () => INJECTED });
    const refusing = await attacked({
      authenticate: () => ({ refuse: 401, headers: { 'WWW-Authenticate': INJECTED } }),
    });
    await survives(8, async (watch) => {
      let bytes = 0;
      const names: unknown[] = [];
      for (const each of bad) {
        headers = each;
        const wire = new Wire(http);
        const over = once(outcomes, 'over');
        wire.push(request());
        names.push(...(await over));
        while (!wire.closed) await turn();
        bytes += wire.sent.length;
      }
      const failed = [
        await ask(watch, target, { add: ['Sec-WebSocket-Protocol: a'] }),
        await ask(watch, refusing, {}),
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
});

describe('control characters of a peer', () => {
  nothingLeft();

  it('reach no message of ours as they are', async () => {
    const messages: string[] = [];
    const note = (error: unknown): void => void messages.push(String(error));
    const target = await attacked(
      {
        // The default answer, written by hand: an own one is not what this is about.
        error: (_req, socket, status, error) => {
          note(error);
          socket.write(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\n\r\n`);
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
    await survives(34, async (watch) => {
      messages.length = 0;
      for (const change of changes) await ask(watch, target, change);
      const refusals = messages.length;
      for (const reason of reasons) {
        const payload = Buffer.concat([Buffer.from([0x0f, 0xa0]), Buffer.from(reason)]);
        await ask(watch, target, { behind: masked(8, payload) });
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
});
