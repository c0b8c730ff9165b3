import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2ServerRequest,
  type OutgoingHttpHeaders,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Upgrader, type UpgraderOptions } from '../../src/index.ts';
import { trapLeftovers } from '../raw.ts';

trapLeftovers();

/**
 * A session with a server that calls `upgrade` for each request, on the socket that `pick`
 * returns.
 */
async function session(
  pick: (req: Http2ServerRequest) => Duplex,
  options: UpgraderOptions = {},
): Promise<{ client: ClientHttp2Session; outcomes: unknown[] }> {
  const upgrader = new Upgrader(options);
  const outcomes: unknown[] = [];
  const server = createServer({ settings: { enableConnectProtocol: true } });
  const listener = (req: Http2ServerRequest): void => {
    const socket = pick(req);
    upgrader.upgrade(req as never, socket, Buffer.alloc(0)).then(
      (conn) => outcomes.push(conn),
      (error: unknown) => outcomes.push(error),
    );
  };
  server.on('request', listener);
  server.on('connect', listener as never);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(async () => {
    client.close();
    server.close();
    await once(server, 'close');
  });
  await once(client, 'remoteSettings');
  return { client, outcomes };
}

async function answerTo(
  client: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
): Promise<{ status: unknown; body: string }> {
  const stream = client.request(headers);
  let status: unknown;
  let body = '';
  stream.on('response', (answer) => {
    status = answer[':status'];
  });
  stream.setEncoding('utf8').on('data', (text: string) => {
    body += text;
  });
  stream.end();
  await once(stream, 'close');
  return { status, body };
}

const CONNECT = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': '/' };

describe('an upgrade of a request of HTTP/2', () => {
  it.each([
    { says: 'GET on its stream', pick: (req: Http2ServerRequest) => req.stream, headers: {} },
    { says: 'GET on its socket', pick: (req: Http2ServerRequest) => req.socket, headers: {} },
    { says: 'CONNECT', pick: (req: Http2ServerRequest) => req.stream, headers: CONNECT },
  ])('is refused in HTTP/2: $says', async ({ pick, headers }) => {
    const { client, outcomes } = await session(pick);
    for (const _ of ['the first', 'another on its session']) {
      const { status, body } = await answerTo(client, headers);
      expect(status).toBe(400);
      expect(body).toMatch(/^the client is not using .* not HTTP\/1\.1\n$/);
      expect(outcomes.pop()).toMatchObject({ status: 400, code: 'WS_ERR_HANDSHAKE' });
    }
  });

  it('leaves an answered request unchanged', async () => {
    const { client, outcomes } = await session((req) => {
      req.stream.respond({ ':status': 204 }, { endStream: true });
      return req.stream;
    });
    expect(await answerTo(client, {})).toEqual({ status: 204, body: '' });
    expect(outcomes).toMatchObject([{ status: 400 }]);
  });

  it('gets the answer of the option error', async () => {
    const error = (): { status: number } => ({ status: 403 });
    const { client } = await session((req) => req.socket, { error });
    expect(await answerTo(client, {})).toEqual({ status: 403, body: 'Forbidden\n' });
  });

  it('is refused in HTTP/2 by a listener that gets no head', async () => {
    const server = createServer({ settings: { enableConnectProtocol: true } });
    // Only with such a listener does Node emit 'connect'.
    server.on('request', () => {});
    server.on('connect', new Upgrader().handler(() => {}) as never);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    onTestFinished(async () => {
      client.close();
      server.close();
      await once(server, 'close');
    });
    await once(client, 'remoteSettings');
    expect(await answerTo(client, CONNECT)).toMatchObject({ status: 400 });
  });
});
