import { once } from 'node:events';
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { hex, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { createProxy } from '../../src/index.ts';
import { rawTarget } from '../support.ts';
import { openStream } from './support.ts';

const CODES = [...Array(14).keys()];
/** A binary message of 16 KiB. */
const MESSAGE = Buffer.concat([hex('82 fe 3f f0 00 00 00 00'), Buffer.alloc(16_368)]);
const WINDOW = 16_000_000;

describe.each(['frames', 'bytes', 'messages'] as const)('EA1 RST_STREAM, mode %s', (mode) => {
  it.each(CODES)('with code %i ends a pair with unread bytes', async (code) => {
    const backend = await rawTarget();
    const proxy = createProxy(backend.url, { mode, idleTimeout: false });
    const settings = { enableConnectProtocol: true, initialWindowSize: WINDOW };
    const front = createServer({ settings });
    front.on('stream', proxy.stream);
    front.on('session', (session) => session.setLocalWindowSize(WINDOW));
    front.listen(0, '127.0.0.1');
    await once(front, 'listening');
    whenOver(async () => {
      await proxy.close({ timeout: 1 });
      front.close();
    });
    const client = await openStream((front.address() as AddressInfo).port);
    const target = await backend.next();
    target.stream.pause();
    const [proxied] = proxy.proxied;
    // More than the sockets on the way to the target hold.
    for (let i = 0; i < 500; i++) client.data(1, MESSAGE);
    client.send('PING', 0, 0, Buffer.alloc(8));
    await client.until(() =>
      client.frames.some(({ type, flags }) => type === 'PING' && flags === 1),
    );
    client.reset(1, code);
    if (mode !== 'bytes') {
      client.send('PING', 0, 0, Buffer.alloc(8));
      await client.until(
        () => client.frames.filter(({ type, flags }) => type === 'PING' && flags === 1).length > 1,
      );
      target.destroy();
    }
    expect(await proxied!.closed).toMatchObject({ endedBy: 'client' });
    client.socket.destroy();
  });
});
