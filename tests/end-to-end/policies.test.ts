// The policies of a server, over both versions of HTTP: each test has one outcome for all of them.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { broadcast, type Conn } from '@ws/conn';
import { Hub } from '@ws/hub';
import { type ClientConn, Dialer, type DialerOptions, type DialOptions } from '@ws/node-client';
import {
  type AdmitOrRefuse,
  admit,
  type ConnHandler,
  type HandlerContext,
  type ServeOptions,
  serve,
  type WsServer,
} from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import {
  HTTP2,
  nothingLeft,
  openStream,
  type RawPeer,
  rawClient,
  SOCKETS,
  StreamPeer,
  selfSigned,
  turn,
  whenOver,
} from '../peers/index.ts';

const VERSIONS = [SOCKETS[0]!, ...HTTP2].map(([name, carrier]) => ({ name, ...carrier }));

const echo = (conn: Conn<unknown>): Promise<unknown> =>
  conn.receive((message) => conn.send(message));

/** The status of the answer to a dial. */
function refusal(dialing: Promise<ClientConn>): Promise<number | undefined> {
  return dialing.then(
    () => undefined,
    ({ status }: { status?: number }) => status,
  );
}

describe.each(VERSIONS)('over $name', ({ secure, http2 }) => {
  nothingLeft();

  interface Served {
    readonly server: WsServer;
    /** Our client, on the same session for all calls over HTTP/2. */
    readonly dial: (path?: string, options?: DialOptions) => Promise<ClientConn>;
  }

  async function served<Result extends AdmitOrRefuse = undefined>(
    options: ServeOptions<Result>,
    // Or routes.
    handler: unknown = echo,
    settings: DialerOptions = {},
  ): Promise<Served> {
    const { key, cert } = await selfSigned();
    const server = await serve(
      {
        host: '127.0.0.1',
        ...(secure && { tls: { key, cert } }),
        ...(http2 && { http2: secure ? true : 'clear' }),
        ...options,
      } as ServeOptions,
      handler as ConnHandler<undefined>,
    );
    whenOver(() => server.close({ timeout: 200 }));
    const dialer = new Dialer({
      http2: http2 ? 'only' : false,
      tls: { ca: cert },
      ...settings,
    });
    return {
      server,
      async dial(path = '/', dialOptions = {}) {
        const conn = await dialer.dial(server.url + path, dialOptions);
        whenOver(() => conn.terminate());
        expect(conn.response.status).toBe(http2 ? 200 : 101);
        return conn;
      },
    };
  }

  /** A peer after the handshake that answers nothing. */
  async function silent({ url }: WsServer): Promise<RawPeer> {
    if (http2) return new StreamPeer(await openStream(url));
    const peer = await rawClient(Number(new URL(url).port), secure);
    await peer.upgrade();
    return peer;
  }

  it('authenticate decides, and its result reaches the handler', async () => {
    const { server, dial } = await served(
      {
        authenticate: ({ headers }, { address }) =>
          headers.authorization === 'secret' ? admit(`ada from ${address}`) : undefined,
      },
      (conn: Conn, _req: unknown, { auth }: { auth: string }) => conn.send(auth),
    );
    const conn = await dial('/', { headers: { Authorization: 'secret' } });
    expect((await conn.readMessage()).text()).toBe('ada from 127.0.0.1');
    expect(await refusal(dial())).toBe(401);
    expect(server.stats).toMatchObject({ opened: 1, refused: { 401: 1 } });
  });

  it('routes have parameters, and other paths are 404', async () => {
    const { dial } = await served(
      {},
      {
        '/feed/:id': (conn: Conn, _req: unknown, { params, query, route }: HandlerContext<void>) =>
          conn.send(JSON.stringify([params, String(query), route])),
      },
    );
    const conn = await dial('/feed/a%20b?c=d');
    expect(await conn.readJSON()).toEqual([{ id: 'a b' }, 'c=d', '/feed/:id']);
    expect(await refusal(dial('/other'))).toBe(404);
  });

  it('the limits of connections count streams, and free what has closed', async () => {
    const { server, dial } = await served({
      maxConnections: 3,
      limits: [{ by: 'address', connections: 2 }],
    });
    const [first] = await Promise.all([dial(), dial()]);
    expect(await refusal(dial())).toBe(429);
    await first.close();
    while (server.stats.open > 1) await turn();
    await dial();
    const most = await served({ maxConnections: 1 });
    await most.dial();
    expect(await refusal(most.dial())).toBe(503);
  });

  it('the limit of handshakes counts those that wait', async () => {
    let admit!: (auth: boolean) => void;
    const { server, dial } = await served<boolean>({
      maxHandshakes: 1,
      authenticate: () => new Promise<boolean>((resolve) => (admit = resolve)),
    });
    const first = dial();
    while (server.stats.handshakesPending === 0) await turn();
    expect(await refusal(dial())).toBe(503);
    admit(true);
    await (await first).close();
  });

  it('a foreign origin is refused, and an allowed one is not', async () => {
    const { dial } = await served({ allowedOrigins: ['https://app.example'] });
    const from = (Origin: string): DialOptions => ({ headers: { Origin } });
    expect(await refusal(dial('/', from('https://evil.example')))).toBe(403);
    await (await dial('/', from('https://app.example'))).close();
  });

  it('subprotocols and compression are negotiated', async () => {
    const compression = { threshold: 0 };
    const settings = { compression, subprotocols: ['a', 'b'] };
    const { server, dial } = await served({ compression, subprotocols: ['b'] }, echo, settings);
    const conn = await dial();
    expect(conn.subprotocol).toBe('b');
    expect(conn.extensions).toMatch(/^permessage-deflate/);
    await conn.send('compressed '.repeat(1_000));
    expect((await conn.readMessage()).text()).toBe('compressed '.repeat(1_000));
    const [ours] = server.connections;
    expect(ours!.stats.bytesIn).toBeLessThan(1_000);
  });

  it('channels and report see connections, refusals and errors of handlers', async () => {
    const seen: string[] = [];
    const reported: string[] = [];
    const channels = ['open', 'message:in', 'message:out', 'close', 'refuse'];
    const onEvent = (event: unknown, name: string | symbol): void => {
      const { conn } = event as { conn?: Conn };
      // Those of the client are the same without HTTP/2.
      if (conn?.role !== 'client') seen.push(String(name));
    };
    for (const name of channels) subscribe(`@ws:${name}`, onEvent);
    whenOver(() => channels.map((name) => unsubscribe(`@ws:${name}`, onEvent)));
    const { dial } = await served(
      {
        report: (error, { where }) => void reported.push(`${where}: ${(error as Error).message}`),
        allowedOrigins: [],
      },
      async (conn: Conn) => {
        await conn.send((await conn.readMessage()).text());
        throw new Error('a fault of the handler');
      },
    );
    const conn = await dial();
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1011 });
    expect(await conn.closed).toMatchObject({ code: 1011, wasClean: true });
    while (!seen.includes('@ws:close')) await turn();
    expect(await refusal(dial('/', { headers: { Origin: 'http://a' } }))).toBe(403);
    expect(reported).toEqual([expect.stringContaining('a fault of the handler')]);
    expect(seen).toEqual(channels.map((name) => `@ws:${name}`));
  });

  it('the heartbeat ends a connection whose peer answers nothing', async () => {
    const closed: Promise<unknown>[] = [];
    const heartbeat = { interval: 50, timeout: 150 };
    const { server } = await served({ heartbeat }, (conn: Conn) => {
      closed.push(conn.closed);
      return echo(conn);
    });
    const peer = await silent(server);
    while (closed.length === 0) await turn();
    expect(await closed[0]).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TIMEOUT' } });
    peer.destroy();
    await peer.closed;
  });

  it('close sends 1001 and waits for the handlers', async () => {
    const { server, dial } = await served({});
    const conns = await Promise.all([dial(), dial(), dial()]);
    const reading = conns.map((conn) => conn.receive(() => {}));
    expect(await server.close()).toEqual({ closed: 3, terminated: 0, handlersPending: 0 });
    for (const info of await Promise.all(reading)) {
      expect(info).toMatchObject({ code: 1001, wasClean: true });
    }
  });

  it('a hub and broadcast reach each connection', async () => {
    const hub = new Hub();
    hub.on('connect', (session) => session.join('r'));
    hub.on('message', (_session, message) => hub.room('r').publish(message.data));
    whenOver(() => hub.close({ timeout: 200 }));
    const { server, dial } = await served({}, hub.handler);
    const conns = await Promise.all([dial(), dial(), dial()]);
    while (server.stats.open < 3) await turn();
    await conns[0].send('to the room');
    broadcast(server.connections, 'to all');
    for (const conn of conns) {
      const texts = [(await conn.readMessage()).text(), (await conn.readMessage()).text()];
      expect(texts.toSorted()).toEqual(['to all', 'to the room']);
    }
  });
});
