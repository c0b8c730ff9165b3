import { once } from 'node:events';
import { connect } from 'node:net';
import { type Conn, PingMessage, PreparedMessage, TextMessage } from '@ws/conn';
import { Dialer } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { turn } from '../kit/fake-platform.ts';
import type { TestTransport } from '../kit/test-transport.ts';
import {
  nothingLeft,
  type RawPeer,
  rawServer,
  switchingProtocols,
  upgradeRequest,
  whenOver,
} from '../peers/index.ts';
import { claim, survives } from './harness/index.ts';
import { targetConn } from './target-conn.ts';

/** A frame with RSV2 set, masked and not. No extension gives RSV2 a meaning. */
const BAD = { masked: '\xa1\x81\x00\x00\x00\x00x', plain: '\xa1\x01x' };

describe('a connection without any listener', () => {
  nothingLeft();

  it('fails without an uncaught error, also by data after the handshake', async () => {
    const conns: Conn[] = [];
    const server = await serve({ port: 0, host: '127.0.0.1' }, (conn) => void conns.push(conn));
    whenOver(() => server.close());
    const port = Number(new URL(server.url).port);
    const peers: RawPeer[] = [];
    const hostile = await rawServer(false, async (peer) => {
      peers.push(peer);
      const request = await peer.head();
      const early = request.startsWith('GET /bad') ? BAD.plain : '';
      await peer.write(switchingProtocols(request) + early);
      await peer.until(() => peer.ended);
      peer.end();
    });
    const attack = claim(
      'faults of a connection without listeners, also in the packet of the handshake',
      'CVE-2022-21676',
    );
    await survives(attack, { warmUps: 5 }, async () => {
      const codes: string[] = [];
      for (const how of ['bad', 'reset', 'end']) {
        const peer = connect({ port, host: '127.0.0.1' }).on('error', () => {});
        peer.write(Buffer.from(upgradeRequest() + (how === 'bad' ? BAD.masked : ''), 'latin1'));
        if (how === 'end') peer.end();
        if (how === 'reset') peer.once('data', () => peer.resetAndDestroy());
        else peer.resume();
        await once(peer, 'close').catch(() => {});
        for (let i = 0; i < 1_000 && conns.length === 0; i++) await turn();
        const conn = conns.pop();
        const { code } = await conn!.closed;
        codes.push(`server ${how} ${code}`);
      }
      for (const how of ['bad', 'reset', 'end']) {
        const conn = await new Dialer().dial(new URL(how, hostile.url));
        // A reset together with the 101 would overtake it.
        const peer = peers.pop();
        if (how === 'reset') peer?.reset();
        if (how === 'end') peer?.end();
        const { code } = await conn.closed;
        codes.push(`client ${how} ${code}`);
      }
      expect(codes.join(', ')).toBe(
        'server bad 1002, server reset 1006, server end 1006, client bad 1002, client reset 1006, client end 1006',
      );
      return { ends: codes.length };
    });
  });
});

it('ignored promises cause no unhandled rejection, whatever ends the connection', async () => {
  const fire = (conn: Conn): number => {
    const stop = AbortSignal.abort(new Error('enough'));
    const ignored: unknown[] = [
      conn.closed,
      conn.send('x'),
      conn.send(5 as never),
      conn.send('x', { signal: stop }),
      conn.writeMessage(99, 'x'),
      conn.writeJSON(() => {}),
      conn.writeControl(PingMessage, 'x'.repeat(126)),
      conn.writeControl(PingMessage, 'x', 1),
      conn.writePreparedMessage(new PreparedMessage(TextMessage, 'x')),
      conn.ping(),
      conn.ping('x', { timeout: -1 }),
      conn.readMessage(),
      conn.readMessage({ signal: stop }),
      conn.readMessage({ timeout: 1 }),
      conn.readJSON(),
      conn.receive(() => {}),
      conn.discardReads(),
      conn.nextReader(),
      conn[Symbol.asyncIterator]().next(),
      conn.nextWriter(TextMessage),
      conn.nextWriter(TextMessage, { queue: true }),
      conn.nextWriter(TextMessage, { queue: true }).then(
        (writer) => {
          void writer.write('x');
          void writer.write(5 as never);
          void writer.close();
          void writer.close();
        },
        () => {},
      ),
      conn.close(5),
      conn.close(1000, '', { signal: stop }),
    ];
    return ignored.length;
  };
  const ends: readonly ((conn: Conn, transport: TestTransport) => void)[] = [
    (_, transport) => transport.break(new Error('reset')),
    (_, transport) => transport.feedEnd(),
    (_, transport) => transport.feed('ff ff'),
    (conn) => conn.terminate(),
    (conn) => void conn.close(1000),
  ];
  const attack = claim('promises that the application ignores', 'CWE-248');
  await survives(attack, { warmUps: 1 }, async () => {
    let promises = 0;
    for (const end of ends) {
      for (const first of [true, false]) {
        const { conn, platform, transport } = targetConn('server');
        if (first) end(conn, transport);
        promises += fire(conn);
        if (!first) end(conn, transport);
        promises += fire(conn);
        await platform.advance(60_000);
        transport.break();
        await platform.settle();
        promises += fire(conn);
        await turn();
        expect(conn.state).toBe('closed');
      }
    }
    return { promises };
  });
});
