// Node calls the functions among the TLS options where a throw would end the process.
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { type ConnectionOptions, createServer } from 'node:tls';
import { TransportError } from '@ws/conn';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type ClientConn, Dialer } from '../../src/index.ts';
import { inVain } from '../leftovers.ts';
import { certificate, rawTlsServer, says, seen } from '../servers.ts';

const accepts = says((request) => request.ok());
const mine = new Error('mine');
const throws = (): never => {
  throw mine;
};

type Way = (port: number, tls: ConnectionOptions) => Promise<ClientConn>;
const ways: [string, Way][] = [
  ['dial', (port, tls) => new Dialer({ tls }).dial(`wss://localhost:${port}/`)],
  [
    'dial with netDial',
    (port, tls) => {
      const netDial = () => connect(port, '127.0.0.1');
      return new Dialer({ tls, netDial }).dial(`wss://localhost:${port}/`);
    },
  ],
  [
    'handshake on an open stream',
    async (port, tls) => {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      return new Dialer({ tls }).handshake(socket, `wss://localhost:${port}/`);
    },
  ],
];

/**
 * The error of a dial to a server with our certificate. The server's sockets are closed then.
 */
async function failure(way: Way, tls: ConnectionOptions): Promise<Error> {
  const server = await rawTlsServer(accepts);
  const error = await rejection(way, server.port, tls);
  await server.gone();
  return error;
}

async function rejection(way: Way, port: number, tls: ConnectionOptions): Promise<Error> {
  const { cert: ca } = await certificate();
  const error = await way(port, { ca, ...tls }).then(
    () => undefined,
    (reason: Error) => reason,
  );
  expect(error).toBeInstanceOf(TransportError);
  return error!;
}

describe.each(ways)('%s with a checkServerIdentity', (_, way) => {
  it('that throws rejects with its error as the cause', async () => {
    const error = await failure(way, { checkServerIdentity: throws });
    expect(error.cause).toBe(mine);
    expect(error.message).toMatch(/^websocket: TLS handshake with localhost:\d+ failed/);
  });

  it('that throws accepts no certificate, even when any certificate would do', async () => {
    const tls = { checkServerIdentity: throws, rejectUnauthorized: false };
    expect((await failure(way, tls)).cause).toBe(mine);
  });

  it.each([undefined, null, 0, 'wrong pin'])('that throws %j rejects', async (value) => {
    const checkServerIdentity = (): never => {
      throw value;
    };
    const error = await failure(way, { checkServerIdentity });
    expect(error.cause).toMatchObject({
      message: 'tls.checkServerIdentity threw a value that is not an Error',
      cause: value,
    });
  });

  it('that returns an error rejects with it as the cause', async () => {
    expect((await failure(way, { checkServerIdentity: () => mine })).cause).toBe(mine);
  });

  it.each<[unknown, string]>([
    [false, 'boolean'],
    [0, 'number'],
    ['', 'string'],
    [true, 'boolean'],
    ['wrong pin', 'string'],
    [{ message: 'wrong pin' }, 'Object'],
  ])('that returns %j accepts no certificate', async (verdict, got) => {
    const error = await failure(way, { checkServerIdentity: () => verdict as never });
    expect(error.cause).toEqual(
      new TypeError(`tls.checkServerIdentity: expected an Error or undefined, got ${got}`),
    );
  });

  it.each<[string, () => Promise<void>]>([
    ['rejects', async () => throws()],
    ['resolves', async () => {}],
  ])('that is async and %s is not awaited and accepts no certificate', async (_says, f) => {
    const checkServerIdentity = f as never;
    for (const rejectUnauthorized of [true, false]) {
      const error = await failure(way, { checkServerIdentity, rejectUnauthorized });
      expect(error.cause).toEqual(
        new TypeError(
          'tls.checkServerIdentity: expected an Error or undefined, got a promise; it must be synchronous',
        ),
      );
    }
  });
});

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('a pskCallback over %s', (version) => {
  const psk = Buffer.alloc(16, 1);
  /** A server that accepts the key, and shows its certificate to clients without one. */
  async function demanding(): Promise<number> {
    const { key, cert } = await certificate();
    const ciphers = 'PSK:DEFAULT';
    const server = createServer({ key, cert, ciphers, pskCallback: () => psk }, (socket) => {
      socket.on('error', () => {});
      socket.once('data', (chunk) => void socket.end(seen(String(chunk)).ok()));
    });
    server.on('tlsClientError', () => {});
    await once(server.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void server.close());
    return (server.address() as AddressInfo).port;
  }
  const options = (pskCallback: unknown): ConnectionOptions => ({
    pskCallback: pskCallback as NonNullable<ConnectionOptions['pskCallback']>,
    // Over TLS 1.2 only a PSK cipher uses the key.
    ciphers: version === 'TLSv1.2' ? 'PSK' : 'DEFAULT:PSK',
    minVersion: version,
    maxVersion: version,
  });
  const fails = async (pskCallback: unknown): Promise<Error> =>
    rejection(ways[0]![1], await demanding(), options(pskCallback));

  it('that gives the key opens', async () => {
    const { cert: ca } = await certificate();
    const tls = {
      ca,
      ...options(() => ({ psk, identity: 'me' })),
      checkServerIdentity: () => undefined,
    };
    const conn = await ways[0]![1](await demanding(), tls);
    expect(conn.underlyingConn).toMatchObject({ authorized: true });
    conn.terminate();
  });

  it('that throws rejects with its error as the cause, though a certificate would suffice', async () => {
    expect((await fails(throws)).cause).toBe(mine);
  });

  it.each<[string, () => unknown, string]>([
    ['a number', () => 5, 'number'],
    ['no key', () => ({ identity: 'me' }), 'Object'],
    ['a key of text', () => ({ identity: 'me', psk: 'secret' }), 'Object'],
    ['no identity', () => ({ psk: Buffer.alloc(16) }), 'Object'],
    ['a promise', () => Promise.reject(mine), 'a promise; it must be synchronous'],
  ])('that returns %s is a TypeError', async (_, pskCallback, got) => {
    expect((await fails(pskCallback)).cause).toEqual(
      new TypeError(`tls.pskCallback: expected { psk, identity } or null, got ${got}`),
    );
  });
});

describe('a lookup', () => {
  const fails = (lookup: unknown): Promise<unknown> =>
    inVain('wss://somewhere.example/', {
      netDial: undefined,
      tls: { lookup: lookup as NonNullable<ConnectionOptions['lookup']> },
    });
  type Callback = (error: unknown, addresses?: unknown, family?: number) => void;

  it.each<[string, unknown]>([
    ['throws', throws],
    ['rejects', async () => throws()],
    ['fails', (_name: string, _options: object, done: Callback) => done(mine)],
    [
      'fails later',
      (_name: string, _options: object, done: Callback) => void setImmediate(done, mine),
    ],
  ])('that %s rejects the dial with its error as the cause', async (_, lookup) => {
    const error = (await fails(lookup)) as Error;
    expect(error).toBeInstanceOf(TransportError);
    expect(error.message).toBe('websocket: connecting to somewhere.example:443 failed: mine');
    expect(error.cause).toBe(mine);
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['no addresses', []],
    ['no address', [{}]],
    ['holes', [null]],
    ['another name', 'elsewhere.example'],
  ])('that finds %s, synchronously or later, is a TransportError', async (_, found) => {
    for (const later of [false, true]) {
      const lookup = (_name: string, _options: object, done: Callback): void => {
        if (later) setImmediate(done, null, found, 4);
        else done(null, found, 4);
      };
      expect(await fails(lookup)).toBeInstanceOf(TransportError);
    }
  });

  it('that answers twice, or throws after its answer, counts once', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(accepts);
    const found = [{ address: '127.0.0.1', family: 4 }];
    const twice = (_name: string, _options: object, done: Callback): void => {
      done(null, found);
      done(null, found);
      done(mine);
    };
    const conn = await new Dialer({ tls: { ca, lookup: twice as never } }).dial(
      `wss://localhost:${server.port}/`,
    );
    conn.terminate();
    await server.gone();
    expect(server.sockets).toHaveLength(1);
  });
});
