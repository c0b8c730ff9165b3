// Certificates of a test authority, with `dial`, and with `handshake` on an
// open stream.
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type ConnectionOptions, createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { TransportError } from '@ws/conn';
import { CertificateAuthority } from '@ws/tests';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type ClientConn, Dialer } from '../../src/index.ts';
import { inVain, listeners, timers } from '../leftovers.ts';
import { certificate, closing, seen } from '../servers.ts';

interface Seen {
  readonly port: number;
  /** The names that clients sent by SNI. */
  readonly names: unknown[];
  /** The common names of their certificates. */
  readonly clients: (string | undefined)[];
  readonly gone: () => Promise<void>;
}

/** A server that answers every handshake. It ends with the test. */
async function tlsServer(options: TlsOptions): Promise<Seen> {
  const names: unknown[] = [];
  const clients: (string | undefined)[] = [];
  const sockets: Socket[] = [];
  const closings: Promise<void>[] = [];
  const server = createServer(options, (socket: TLSSocket & { servername?: unknown }) => {
    names.push(socket.servername);
    clients.push(socket.getPeerCertificate().subject?.CN as string | undefined);
    socket.on('error', () => {});
    socket.once('data', (request: Buffer) => {
      socket.write(`${seen(request.toString('latin1')).ok()}\x81\x02hi`, 'latin1');
    });
  });
  server.on('tlsClientError', () => {});
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
    closings.push(closing(socket));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { port, names, clients, gone: async () => void (await Promise.all(closings)) };
}

type Way = (port: number, host: string, tls?: ConnectionOptions) => Promise<ClientConn>;

let authority: CertificateAuthority;
let stranger: CertificateAuthority;
beforeAll(async () => {
  [authority, stranger] = await Promise.all([
    CertificateAuthority.make('ours'),
    CertificateAuthority.make('a stranger'),
  ]);
});

// Every name resolves to 127.0.0.1, so only the certificate decides.
const lookup: ConnectionOptions['lookup'] = (_name, _options, callback) => {
  callback(null, [{ address: '127.0.0.1', family: 4 }]);
};

const ways: [string, Way][] = [
  [
    'dial',
    (port, host, tls) => new Dialer({ tls: { lookup, ...tls } }).dial(`wss://${host}:${port}/`),
  ],
  [
    'dial with netDial',
    (port, host, tls) => {
      const netDial = (): Socket => connect(port, '127.0.0.1');
      return new Dialer({ ...(tls && { tls }), netDial }).dial(`wss://${host}:${port}/`);
    },
  ],
  [
    'handshake on an open stream',
    async (port, host, tls) => {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      return new Dialer(tls && { tls }).handshake(socket, `wss://${host}:${port}/`);
    },
  ],
];

async function isOpen(dialed: Promise<ClientConn>): Promise<void> {
  const conn = await dialed;
  const message = await conn.readMessage();
  expect(message.text()).toBe('hi');
  conn.terminate();
}

/** @param words - What the message ends with. */
async function isRefused(
  dialed: Promise<ClientConn>,
  code: string | RegExp,
  words: string,
): Promise<void> {
  const error = await dialed.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TransportError);
  const { message, cause } = error as TransportError & { cause: { code: string } };
  expect(message).toMatch(/^websocket: TLS handshake with \S+ failed: /);
  expect(message.endsWith(words)).toBe(true);
  expect(cause.code).toMatch(code);
}

const trust =
  'no trusted authority has signed the certificate; trust its authority with tls: { ca }';

describe.each(ways)('%s', (_, way) => {
  it('accepts a certificate of a trusted authority', async () => {
    const server = await tlsServer(await authority.issue({ names: ['example.org'] }));
    await isOpen(way(server.port, 'example.org', { ca: authority.cert }));
    await server.gone();
  });

  it('accepts a trusted self-signed one', async () => {
    const { key, cert } = await certificate();
    const server = await tlsServer({ key, cert });
    await isOpen(way(server.port, 'localhost', { ca: cert }));
  });

  it('refuses a self-signed one by default, and gives advice', async () => {
    const { key, cert } = await certificate();
    const server = await tlsServer({ key, cert });
    await isRefused(
      way(server.port, 'localhost'),
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      ': the certificate is self-signed; trust it with tls: { ca }',
    );
    await server.gone();
  });

  it('refuses one of an untrusted authority', async () => {
    const server = await tlsServer(await authority.issue({ names: ['example.org'] }));
    const untrusted = /UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT_LOCALLY/;
    await isRefused(way(server.port, 'example.org'), untrusted, trust);
    await isRefused(way(server.port, 'example.org', { ca: stranger.cert }), untrusted, trust);
    await server.gone();
  });

  it('refuses a chain to an untrusted authority', async () => {
    const { key, cert } = await authority.issue({ names: ['example.org'] });
    const server = await tlsServer({ key, cert: `${cert}\n${authority.cert}` });
    await isRefused(way(server.port, 'example.org'), 'SELF_SIGNED_CERT_IN_CHAIN', trust);
  });

  it('refuses one that has expired', async () => {
    const server = await tlsServer(
      await authority.issue({ names: ['example.org'], days: [-9, -1] }),
    );
    await isRefused(
      way(server.port, 'example.org', { ca: authority.cert }),
      'CERT_HAS_EXPIRED',
      ': the certificate has expired',
    );
    await server.gone();
  });

  it('refuses one that is not valid yet', async () => {
    const server = await tlsServer(await authority.issue({ names: ['example.org'], days: [1, 9] }));
    await isRefused(
      way(server.port, 'example.org', { ca: authority.cert }),
      'CERT_NOT_YET_VALID',
      ': the certificate is not valid yet; check the clock',
    );
  });

  it.each<
    [
      says: string,
      of: { names?: string[]; addresses?: string[]; commonName?: string },
      host: string,
    ]
  >([
    ['another name', { names: ['example.com'] }, 'example.org'],
    ['the name above', { names: ['example.org'] }, 'www.example.org'],
    ['the name below', { names: ['www.example.org'] }, 'example.org'],
    ['names one level below', { names: ['*.example.org'] }, 'a.b.example.org'],
    ['another address', { addresses: ['127.0.0.2'] }, '127.0.0.1'],
    ['the address as a name', { names: ['127.0.0.1'] }, '127.0.0.1'],
    ['the address as its common name', { names: ['x'], commonName: '127.0.0.1' }, '127.0.0.1'],
    [
      'the name as its common name beside others',
      { names: ['x'], commonName: 'example.org' },
      'example.org',
    ],
  ])('refuses one for %s', async (_says, of, host) => {
    const server = await tlsServer(await authority.issue(of));
    await isRefused(
      way(server.port, host, { ca: authority.cert }),
      'ERR_TLS_CERT_ALTNAME_INVALID',
      ': the certificate is for another name; dial that name, or set it with tls: { servername }',
    );
    await server.gone();
  });

  it.each<
    [says: string, of: { names?: string[]; addresses?: string[] }, host: string, sni: unknown]
  >([
    ['the address', { addresses: ['127.0.0.1'] }, '127.0.0.1', false],
    ['one of many names', { names: ['a', 'b', 'example.org'] }, 'example.org', 'example.org'],
    ['names one level below', { names: ['*.example.org'] }, 'www.example.org', 'www.example.org'],
    ['the name without its last dot', { names: ['example.org'] }, 'example.org.', 'example.org'],
    ['the name in another case', { names: ['EXAMPLE.org'] }, 'example.ORG', 'example.org'],
    [
      'the name in Punycode',
      { names: ['xn--bcher-kva.example'] },
      'bücher.example',
      'xn--bcher-kva.example',
    ],
  ])('takes one for %s, and asks for it by SNI', async (_says, of, host, sni) => {
    const server = await tlsServer(await authority.issue(of));
    await isOpen(way(server.port, host, { ca: authority.cert }));
    expect(server.names).toEqual([sni]);
  });

  it('asks for the servername that it is given, and takes its certificate', async () => {
    const server = await tlsServer(await authority.issue({ names: ['inside.example'] }));
    await isOpen(
      way(server.port, 'example.org', { ca: authority.cert, servername: 'inside.example' }),
    );
    expect(server.names).toEqual(['inside.example']);
  });

  it('takes any with rejectUnauthorized: false', async () => {
    const server = await tlsServer(await stranger.issue({ names: ['x'], days: [-9, -1] }));
    await isOpen(way(server.port, 'example.org', { rejectUnauthorized: false }));
  });

  it('calls a given checkServerIdentity', async () => {
    const server = await tlsServer(await authority.issue({ names: ['example.com'] }));
    const asked: string[] = [];
    const checkServerIdentity = (host: string): undefined => void asked.push(host);
    await isOpen(way(server.port, 'example.org', { ca: authority.cert, checkServerIdentity }));
    expect(asked).toEqual(['example.org']);
  });

  describe('to a server that requires client certificates', () => {
    const demanding = async (): Promise<Seen> =>
      tlsServer({
        ...(await authority.issue({ names: ['example.org'] })),
        ca: authority.cert,
        requestCert: true,
        rejectUnauthorized: true,
      });

    it('sends the given certificate', async () => {
      const server = await demanding();
      const client = await authority.issue({ commonName: 'client 7' });
      await isOpen(way(server.port, 'example.org', { ca: authority.cert, ...client }));
      expect(server.clients).toEqual(['client 7']);
      await server.gone();
    });

    it.each<[string, () => Promise<ConnectionOptions>]>([
      ['it has none', async () => ({})],
      ['it is of another authority', () => stranger.issue({ commonName: 'x' })],
      ['it has expired', () => authority.issue({ commonName: 'x', days: [-9, -1] })],
    ])('fails when %s', async (_says, client) => {
      const server = await demanding();
      // With TLS 1.3 the server reports this after our half of the handshake.
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        const tls = { ca: authority.cert, maxVersion, ...(await client()) };
        await expect(way(server.port, 'example.org', tls)).rejects.toBeInstanceOf(TransportError);
      }
      expect(server.clients).toEqual([]);
      await server.gone();
    });
  });
});

describe('a rejected certificate', () => {
  it('leaves no listener and no timer', async () => {
    const server = await tlsServer(await authority.issue({ names: ['example.org'] }));
    const url = `wss://localhost:${server.port}/`;
    for (const netDial of [undefined, () => connect(server.port, '127.0.0.1')]) {
      const error = await inVain(url, { netDial, tls: { ca: authority.cert } });
      expect(error).toBeInstanceOf(TransportError);
    }
    const socket = connect(server.port, '127.0.0.1');
    await once(socket, 'connect');
    const close = closing(socket);
    const before = timers();
    await expect(new Dialer().handshake(socket, url)).rejects.toBeInstanceOf(TransportError);
    await close;
    expect(listeners(socket)).toEqual({});
    expect(timers()).toBeLessThanOrEqual(before);
    await server.gone();
  });
});
