import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { type ConnectionOptions, createSecureContext, createServer } from 'node:tls';
import { TransportError } from '@ws/conn';
import { CertificateAuthority } from '@ws/tests';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Dialer } from '../../src/index.ts';
import { inVain } from '../leftovers.ts';
import { certificate, rawServer, rawTlsServer, says, seen } from '../servers.ts';

const accepts = says((request) => request.ok());

describe('an option of tls that is undefined', () => {
  it('counts as absent', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(accepts);
    const names = [
      'checkServerIdentity',
      'pskCallback',
      'lookup',
      'servername',
      'ALPNProtocols',
      'minDHSize',
      'session',
      'secureContext',
      'ciphers',
    ];
    const nothing = Object.fromEntries(names.map((name) => [name, undefined]));
    const conn = await new Dialer({ tls: { ca, ...nothing } }).dial(
      `wss://localhost:${server.port}/`,
    );
    expect(conn.underlyingConn).toMatchObject({ alpnProtocol: 'http/1.1', authorized: true });
    conn.terminate();
  });

  it('does not make any certificate good', async () => {
    const server = await rawTlsServer(accepts);
    const tls = { rejectUnauthorized: undefined } as object;
    expect(await inVain(server.url, { tls })).toMatchObject({
      cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
    });
  });
});

describe('a Dialer rejects in its constructor', () => {
  it.each<[string, unknown, string]>([
    ['checkServerIdentity', null, 'expected a function, got null'],
    ['checkServerIdentity', true, 'expected a function, got boolean'],
    ['pskCallback', {}, 'expected a function, got Object'],
    ['lookup', 'dns', 'expected a function, got string'],
    ['rejectUnauthorized', 'false', 'expected a boolean, got string'],
    ['rejectUnauthorized', 0, 'expected a boolean, got number'],
    ['rejectUnauthorized', null, 'expected a boolean, got null'],
    ['servername', 5, 'expected a string, got number'],
    ['session', 5, 'expected bytes, got number'],
    ['ALPNProtocols', 5, 'expected an array of strings or bytes, got number'],
    ['ALPNProtocols', 'http/1.1', 'expected an array of strings or bytes, got string'],
    ['ALPNProtocols', [5], 'expected an array of strings or bytes, got Array'],
    ['minDHSize', '1024', 'expected a number above 0, got string'],
    ['minDHSize', 0, 'expected a number above 0, got number'],
  ])('tls.%s: %j', (name, value, why) => {
    for (const option of ['tls', 'proxyTls']) {
      expect(() => new Dialer({ [option]: { [name]: value } })).toThrow(
        new TypeError(`${option}.${name}: ${why}`),
      );
    }
  });
});

describe('an option for which tls.connect throws', () => {
  it.each<[string, object]>([
    ['localAddress', { localAddress: 'nonsense' }],
    ['localPort', { localPort: 'x' }],
    ['hints', { hints: -1 }],
    ['timeout', { timeout: 'x' }],
    ['ALPNProtocols', { ALPNProtocols: ['x'.repeat(256)] }],
  ])('is a TransportError with that as its cause: %s', async (_, tls) => {
    const error = (await inVain('wss://localhost/', { netDial: undefined, tls })) as Error;
    expect(error).toBeInstanceOf(TransportError);
    expect(error.message).toMatch(/^websocket: connecting to localhost:443 failed: .*ERR_/);
    expect(error.cause).toMatchObject({ code: /^ERR_/ });
  });
});

describe('a secureContext', () => {
  let authority: CertificateAuthority;
  beforeAll(async () => {
    authority = await CertificateAuthority.make('ours');
  });

  /** A server that requests certificates, and records their names. */
  async function asking(answer: string | undefined) {
    const clients: unknown[] = [];
    const issued = await authority.issue({ names: ['localhost'], addresses: ['127.0.0.1'] });
    const server = createServer(
      { ...issued, requestCert: true, rejectUnauthorized: false },
      (socket) => {
        clients.push(socket.getPeerX509Certificate()?.subject);
        socket.on('error', () => {});
        socket.once('data', (chunk: Buffer) => {
          socket.write(answer ?? seen(chunk.toString('latin1')).ok());
        });
      },
    );
    const sockets: Socket[] = [];
    server.on('connection', (socket: Socket) => sockets.push(socket.on('error', () => {})));
    server.on('tlsClientError', () => {});
    await once(server.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
    return { clients, sockets, port: (server.address() as AddressInfo).port };
  }

  async function context(): Promise<ConnectionOptions> {
    const mine = await authority.issue({ commonName: 'me' });
    return { secureContext: createSecureContext({ ca: authority.cert, ...mine }) };
  }

  it('is for the server of the URL', async () => {
    const server = await asking(undefined);
    const tls = await context();
    const conn = await new Dialer({ tls }).dial(`wss://localhost:${server.port}/`);
    conn.terminate();
    expect(server.clients).toEqual(['CN=me']);
  });

  it.each(['ws', 'wss'])('is not used for another server after a redirect (%s)', async (scheme) => {
    const other = await asking(undefined);
    const to = `HTTP/1.1 302 Found\r\nLocation: wss://localhost:${other.port}/\r\nContent-Length: 0\r\n\r\n`;
    const url =
      scheme === 'ws'
        ? (await rawServer(says(to))).url
        : `wss://localhost:${(await asking(to)).port}/`;
    const tls = await context();
    const error = await inVain(url, { tls, followRedirects: 1 });
    expect(error).toEqual(
      new TypeError(
        `tls.secureContext: it is only for the server of the URL, not for localhost:${other.port}; give ca, cert, key, ... instead`,
      ),
    );
    expect(other.clients).toEqual([]);
  });

  it('of tls is not shown to an https proxy, one of proxyTls is', async () => {
    const refusal = 'HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n';
    const via = await asking(refusal);
    const tls = await context();
    const proxy = new URL(`https://127.0.0.1:${via.port}`);
    const proxyTls = { ca: authority.cert };
    expect(await inVain('wss://h/', { tls, proxyTls, proxy })).toMatchObject({ status: 403 });
    expect(await inVain('wss://h/', { proxyTls: tls, proxy })).toMatchObject({ status: 403 });
    expect(via.clients).toEqual([undefined, 'CN=me']);
  });
});
