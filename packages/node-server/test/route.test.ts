import { describe, expect, it } from 'vitest';
import {
  type AdmitOrRefuse,
  admit,
  type ConnHandler,
  type RouteOptions,
  type Routes,
  route,
  type ServeOptions,
} from '../src/index.ts';
import { connectRaw, exchange, request, serving, trapLeftovers } from './raw.ts';

trapLeftovers();

type AnyRoutes = Routes<string, unknown>;

async function served(options: ServeOptions<AdmitOrRefuse>, routes: AnyRoutes): Promise<number> {
  const server = await serving({ ...options }, routes);
  return server.port;
}

const at = (path: string, ...add: string[]): Buffer =>
  request({ line: `GET ${path} HTTP/1.1`, add });

/** Sends `ctx.auth` and ends. */
const tellAuth: ConnHandler<unknown, object> = async (conn, _req, { auth }) => {
  await conn.send(JSON.stringify({ auth, data: conn.data }));
  await conn.close();
};

describe('route', () => {
  it.each([
    'maxHandshakes',
    'maxConnections',
    'handshakes',
    'limits',
    'maxTotalBufferedAmount',
    'clientAddress',
    'trustProxy',
    'unmatched',
    'close',
  ])('refuses %s, which is an option of the server', (name) => {
    expect(() => route({ [name]: 1 } as never, () => {})).toThrow(
      new TypeError(`route: ${name} counts for the whole server; set it there`),
    );
  });

  it.each([
    [{ readLimt: 5 }, TypeError, 'readLimt'],
    [{ readLimit: 0 }, RangeError, 'readLimit'],
    [{ authenticate: null }, TypeError, 'authenticate'],
    [{ authenticate: true }, TypeError, 'authenticate'],
    [{ headers: { Connection: 'close' } }, TypeError, 'headers'],
    [{ checkOrigin: () => true, sameHost: true }, TypeError, 'sameHost'],
    [null, TypeError, 'route'],
  ])('refuses %o at once', (options, type, name) => {
    const make = (): unknown => route(options as never, () => {});
    expect(make).toThrow(type);
    expect(make).toThrow(name);
  });

  it('refuses a handler that is not a function', () => {
    expect(() => route({}, undefined as never)).toThrow(/^handler: expected a function/);
  });

  it('replaces authenticate, makes a route public, or keeps the authenticate of the server', async () => {
    const port = await served(
      { authenticate: () => admit('server'), closeTimeout: 20 },
      {
        '/own': route({ authenticate: () => admit('own') }, tellAuth),
        '/public': route({ authenticate: false }, tellAuth),
        '/kept': route({ authenticate: undefined, readLimit: 5 }, tellAuth),
        '/plain': tellAuth,
      },
    );
    expect((await exchange(port, at('/own'))).raw).toContain('{"auth":"own","data":"own"}');
    expect((await exchange(port, at('/public'))).raw).toContain('{}');
    expect((await exchange(port, at('/kept'))).raw).toContain('{"auth":"server","data":"server"}');
    expect((await exchange(port, at('/plain'))).raw).toContain('{"auth":"server","data":"server"}');
  });

  it('replaces the settings of its connections', async () => {
    const echo: ConnHandler<unknown, object> = (conn) => conn.receive(() => {});
    const port = await served(
      { readLimit: 4 },
      { '/a': echo, '/b': route({ readLimit: 5 }, echo) },
    );
    for (const [path, code] of [
      ['/a', 1009],
      ['/b', undefined],
    ] as const) {
      const client = await connectRaw(port);
      await client.upgrade({ line: `GET ${path} HTTP/1.1`, behind: FIVE_BYTES });
      client.stream.write(PING);
      await client.until(() => client.received.length >= 4);
      const isClose = client.received[0] === 0x88;
      expect(isClose ? client.received.readUInt16BE(2) : undefined).toBe(code);
      client.stream.destroy();
    }
  });

  it.each<[string, ServeOptions, RouteOptions, number]>([
    [
      'checkOrigin',
      { allowedOrigins: ['https://a'], sameHost: false },
      { checkOrigin: () => true },
      101,
    ],
    ['allowedOrigins', { checkOrigin: () => false }, { allowedOrigins: ['https://b'] }, 101],
    ['sameHost', { checkOrigin: () => true }, { sameHost: false }, 403],
  ])('%s replaces the whole check of the origin', async (_, options, own, status) => {
    const done: ConnHandler<unknown, object> = (conn) => conn.terminate();
    const port = await served(options as ServeOptions<AdmitOrRefuse>, {
      '/a': route(own as object, done),
    });
    expect((await exchange(port, at('/a', 'Origin: https://b'))).status).toBe(status);
  });

  it('has a handshakeTimeout and a report of its own', async () => {
    const reported: unknown[] = [];
    const hang = (): Promise<never> => new Promise(() => {});
    const port = await served(
      { handshakeTimeout: false, report: () => reported.push('server') },
      {
        '/slow': route({ authenticate: hang, handshakeTimeout: 30 }, () => {}),
        '/fails': route(
          {
            authenticate: () => Promise.reject(new Error('mine')),
            report: (error) => reported.push(String(error)),
          },
          () => {},
        ),
      },
    );
    expect((await exchange(port, at('/slow'))).status).toBe(503);
    reported.length = 0;
    expect((await exchange(port, at('/fails'))).status).toBe(500);
    expect(reported).toEqual(['Error: mine']);
  });

  it('counts limits over all routes', async () => {
    const stay: ConnHandler<unknown, object> = (conn) => conn.discardReads();
    const port = await served(
      { maxConnections: 1 },
      { '/a': stay, '/b': route({ readLimit: 5 }, stay) },
    );
    const client = await connectRaw(port);
    await client.upgrade({ line: 'GET /a HTTP/1.1' });
    expect((await exchange(port, at('/b'))).status).toBe(503);
    client.stream.destroy();
  });
});

/** A masked text of 5 bytes, and a masked ping. */
const FIVE_BYTES = Buffer.from('8185000000006161616161', 'hex');
const PING = Buffer.from('8982000000006161', 'hex');

it('sends the headers of an iterator from each server', async () => {
  const headers = new Map([['x-a', '1']]).entries();
  const shared = route({ headers }, (conn) => conn.terminate());
  for (let i = 0; i < 2; i++) {
    const port = await served({}, { '/a': shared });
    const answer = await exchange(port, at('/a'));
    expect([answer.status, answer.headers.get('x-a')]).toEqual([101, '1']);
  }
});
