// Once a connection was open, an odd answer may be that of something in between.
import { CertificateAuthority } from '@ws/tests';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  BadHandshakeError,
  ReconnectingConn,
  type ReconnectingConnOptions,
  type ReconnectingOptions,
  reconnecting,
  TransportError,
} from '../../src/index.ts';
import { certificate, type RawServer, type Reply, rawTlsServer, says } from '../servers.ts';
import {
  accepts,
  acceptsAndDrops,
  answers,
  connected,
  fast,
  iterate,
  refuses,
} from './iterating.ts';

const redirects: Reply = (socket) =>
  void socket.end('HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/login\r\n\r\n');
const page: Reply = (socket) =>
  void socket.end('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>log in</title>');
const wrong101: Reply = (socket, request) =>
  void socket.write(request.ok('Sec-WebSocket-Extensions: x\r\n'));

const ODD: readonly (readonly [string, Reply, number])[] = [
  ...[204, 300, 400, 402, 404, 405, 407, 409, 410, 421, 426, 451].map(
    (status) => [`a ${status}`, refuses(status), status] as const,
  ),
  ['a page', page, 200],
  ['a redirect', redirects, 302],
  ['a wrong 101', wrong101, 101],
];

/** Dials to the end of a first connection, and then until the next one. Returns the failures. */
async function failures(url: string, options: ReconnectingOptions = {}): Promise<unknown[][]> {
  const seen: unknown[][] = [];
  const iterator = iterate(url, {
    ...options,
    retry: (error, { delay }) => void seen.push([error, delay]),
  });
  const first = await connected(iterator);
  first.terminate();
  await connected(iterator);
  return seen;
}

describe('after a connection has been open', () => {
  it.each(ODD)('%s is retried at maxDelay', async (_, odd, status) => {
    const server = await answers(accepts, odd, odd, accepts);
    const error = expect.objectContaining({ constructor: BadHandshakeError, status });
    expect(await failures(server.url)).toEqual([
      [error, fast.maxDelay],
      [error, fast.maxDelay],
    ]);
  });

  it.each(ODD)('%s ends the first dial as before', async (_, odd, status) => {
    const server = await answers(odd, accepts);
    await expect(iterate(server.url).next()).rejects.toMatchObject({ status });
    expect(server.sockets).toHaveLength(1);
  });

  it.each([401, 403])('a %i ends it, unless retry returns true', async (status) => {
    const server = await answers(accepts, refuses(status), accepts);
    const iterator = iterate(server.url);
    (await connected(iterator)).terminate();
    await expect(iterator.next()).rejects.toMatchObject({ status });
    const again = await answers(accepts, refuses(status), accepts);
    const other = iterate(again.url, { retry: () => true });
    (await connected(other)).terminate();
    await connected(other);
    expect(again.sockets).toHaveLength(3);
  });

  it('retry may end it, and gets the delay', async () => {
    const server = await answers(accepts, refuses(404));
    const delays: number[] = [];
    const iterator = iterate(server.url, {
      retry(_, { delay }) {
        delays.push(delay);
        return delays.length < 2;
      },
    });
    (await connected(iterator)).terminate();
    await expect(iterator.next()).rejects.toMatchObject({ status: 404 });
    expect(delays).toEqual([fast.maxDelay, fast.maxDelay]);
  });

  it('many redirects are retried', async () => {
    const server = await answers(
      accepts,
      redirects,
      (socket) => {
        socket.end('HTTP/1.1 302 Found\r\nLocation: /a\r\n\r\n');
      },
      (socket) => void socket.end('HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n'),
      accepts,
    );
    // The first redirect leads to a port without a listener.
    const seen = await failures(server.url, { followRedirects: 1 });
    expect(seen.map(([error]) => (error as Error).constructor)).toEqual([
      TransportError,
      BadHandshakeError,
    ]);
  });

  it('each iteration has its own first dial', async () => {
    const server = await answers(acceptsAndDrops, refuses(404), refuses(404), accepts);
    const series = reconnecting(server.url, { ...fast, retry: () => undefined });
    for await (const conn of series) {
      await conn.closed;
      break;
    }
    await expect(series[Symbol.asyncIterator]().next()).rejects.toMatchObject({ status: 404 });
  });

  it.each<[string, number, number]>([
    ['a 404 is retried', 404, 2],
    ['a 401 ends it', 401, 1],
  ])('by a ReconnectingConn: %s', async (_, status, opens) => {
    const server = await answers(accepts, refuses(status), accepts);
    // The server answers no close frame.
    const options: ReconnectingConnOptions = { ...fast, closeTimeout: 50, report: () => {} };
    const live = new ReconnectingConn(server.url, options);
    onTestFinished(() => void live.close());
    void live.receive(() => {}).catch(() => {});
    let opened = 0;
    live.on('open', (conn) => {
      if (++opened === 1) conn.terminate();
      else void live.close();
    });
    const { error } = await live.closed;
    expect(opened).toBe(opens);
    if (status === 401) expect(error).toMatchObject({ status });
    else expect(error).toBeUndefined();
  });
});

describe('a certificate that does not fit', () => {
  const welcome = says((request) => request.ok());

  /** Passes on to one server after the other. */
  async function portOf(...servers: RawServer[]): Promise<ReconnectingOptions> {
    const { connect } = await import('node:net');
    let dials = 0;
    return {
      netDial: () => connect(servers[Math.min(dials++, servers.length - 1)]!.port, '127.0.0.1'),
    };
  }

  it('is retried at maxDelay after a connection has been open, and ends the first dial', async () => {
    const ours = await CertificateAuthority.make('ours');
    const good = await rawTlsServer(welcome, await ours.issue({ names: ['h.example'] }));
    const bad = {
      'for another name': await rawTlsServer(welcome, await ours.issue({ names: ['x.example'] })),
      untrusted: await rawTlsServer(welcome),
    };
    const tls = { ca: ours.cert };
    const url = 'wss://h.example/';
    for (const odd of Object.values(bad)) {
      const seen = await failures(url, { tls, ...(await portOf(good, odd, good)) });
      expect(seen).toEqual([[expect.any(TransportError), fast.maxDelay]]);
      const first = iterate(url, { tls, ...(await portOf(odd, good)) });
      await expect(first.next()).rejects.toBeInstanceOf(TransportError);
    }
  });

  it('is retried when it is not the pinned one, unless its function has a bug', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(welcome);
    for (const [fault, retried] of [
      [new Error('not the pinned one'), true],
      [new TypeError('x is not a function'), false],
    ] as const) {
      let checks = 0;
      const checkServerIdentity = (): undefined => {
        if (++checks === 2) throw fault;
      };
      const iterator = iterate(server.url, { tls: { ca, checkServerIdentity } });
      (await connected(iterator)).terminate();
      if (retried) await connected(iterator);
      else await expect(iterator.next()).rejects.toMatchObject({ cause: fault });
    }
  });
});
