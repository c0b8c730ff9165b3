import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { connect, createServer as createTlsServer } from 'node:tls';
import { hex, rawSocket, selfSigned } from '@ws/testkit';
import { describe, expect, it } from 'vitest';

/** Runs `body` against a server on a free port, and leaves nothing of it behind. */
async function served(server: Server, body: (port: number) => Promise<void>): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await body((server.address() as AddressInfo).port);
  } finally {
    server.close();
    await once(server, 'close');
  }
}

describe('rawSocket', () => {
  const echo = (): Server =>
    createServer((socket) => void socket.on('error', () => {}).pipe(socket));

  it('sends bytes and characters, and waits for what it is told', async () => {
    await served(echo(), async (port) => {
      const raw = await rawSocket(port);
      await raw.send('caf\xe9 ');
      await raw.send(hex`00 ff`);
      expect(await raw.until((all) => all.length === 7)).toEqual(
        Buffer.from('636166e92000ff', 'hex'),
      );
      expect((await raw.until('caf\xe9')).length).toBe(7);
      raw.end();
      expect((await raw.untilEnd()).length).toBe(7);
      await raw.closed;
      await raw.send('nobody hears this');
      expect(raw.error).toBeUndefined();
    });
  });

  it('says what came when the peer ends too early', async () => {
    const server = createServer((socket) => void socket.end('HTTP/1.1 400'));
    await served(server, async (port) => {
      const raw = await rawSocket(port);
      await expect(raw.until('101')).rejects.toThrow('the peer ended after "HTTP/1.1 400"');
      raw.destroy();
      await raw.closed;
    });
  });

  it('resets, and reports a reset', async () => {
    const server = createServer();
    await served(server, async (port) => {
      const accepted = once(server, 'connection') as Promise<[Socket]>;
      const raw = await rawSocket(port);
      const [socket] = await accepted;
      const failed = once(socket, 'error');
      socket.resume();
      raw.reset();
      expect(await failed).toMatchObject([{ code: 'ECONNRESET' }]);

      const again = once(server, 'connection') as Promise<[Socket]>;
      const other = await rawSocket(port);
      (await again)[0].resetAndDestroy();
      await other.closed;
      expect(other.error).toMatchObject({ code: 'ECONNRESET' });
    });
  });
});

describe('selfSigned', () => {
  it.each(['localhost', '127.0.0.1'])('serves TLS to a client that asks for %s', async (host) => {
    const { key, cert } = await selfSigned();
    expect(await selfSigned()).toBe(await selfSigned());
    const server = createTlsServer({ key, cert }, (socket) => void socket.end('secret'));
    await served(server, async (port) => {
      const asked = host === 'localhost' ? { servername: host } : {};
      const socket = connect({ port, host: '127.0.0.1', ca: cert, ...asked });
      const [data] = (await once(socket, 'data')) as [Buffer];
      expect(socket.authorized).toBe(true);
      expect(data.toString()).toBe('secret');
      socket.destroy();
      await once(socket, 'close');
    });
  });
});
