// Names of ws, socket.io, Bun and the DOM: each says what to write instead, at run time and to the compiler.
import type { Duplex } from 'node:stream';
import { type Conn, connPair } from '@ws/conn';
import { Hub, type Session } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { dial, ReconnectingConn } from '@ws/node-client';
import { socketTransport } from '@ws/node-io';
import { serve, type WsServer } from '@ws/node-server';
import { roomsOf } from '@ws/rpc/rooms';
import { describe, expect, expectTypeOf, it, onTestFinished } from 'vitest';

const handler = (): void => {};

function live(): ReconnectingConn {
  const made = new ReconnectingConn('ws://127.0.0.1:9', { report: handler });
  onTestFinished(() => void made.close());
  return made;
}

async function server(): Promise<WsServer> {
  const made = await serve({ port: 0, host: '127.0.0.1' }, handler);
  onTestFinished(() => void made.close());
  return made;
}

const session = (): Session => new Hub().add(connPair()[0]);

/** By object: the names, and words of what each says. */
const NAMES: [name: string, make: () => object, names: string, says: RegExp][] = [
  [
    'conn',
    () => connPair()[0],
    'on once off addEventListener addListener removeAllListeners',
    /receive\(handler\)/,
  ],
  ['conn', () => connPair()[0], 'emit sendText write writeText', /send\(data\)/],
  ['conn', () => connPair()[0], 'to in join leave publish subscribe', /hub\.room\(name\)/],
  ['conn', () => connPair()[0], 'disconnect end', /close\(/],
  ['conn', () => connPair()[0], 'destroy', /terminate\(\)/],
  ['conn', () => connPair()[0], 'pause resume', /a peer waits by itself/],
  ['conn', () => connPair()[0], 'pong cork', /by themselves/],
  ['conn', () => connPair()[0], 'pipe', /toDuplex\(conn\)/],
  ['conn', () => connPair()[0], 'read readText recv', /readMessage\(\)/],
  ['conn', () => connPair()[0], 'broadcast', /broadcast\(conns, data\)/],
  ['conn', () => connPair()[0], 'url headers handshake', /second argument/],
  ['conn', () => connPair()[0], 'ip remoteAddress', /remoteAddr/],
  ['conn', () => connPair()[0], 'readyState', /state/],
  ['server', server, 'on once off', /the handler is an argument/],
  ['server', server, 'emit send broadcast', /broadcast\(server\.connections, data\)/],
  ['server', server, 'clients sockets', /server\.connections/],
  ['server', server, 'address port hostname', /server\.url/],
  ['server', server, 'to in publish', /hub\.handler/],
  ['server', server, 'of', /routes/],
  ['server', server, 'use', /authenticate/],
  ['server', server, 'stop shutdown', /server\.close\(\)/],
  ['hub', () => new Hub(), 'off once', /hub\.on returns/],
  ['hub', () => new Hub(), 'emit publish send', /hub\.broadcast\(data\)/],
  ['hub', () => new Hub(), 'in to of', /hub\.room\(name\)/],
  ['hub', () => new Hub(), 'sockets clients', /hub\.sessions/],
  ['session', session, 'on once addListener', /hub\.on\('message'/],
  ['session', session, 'to in broadcast publish', /except: session/],
  ['session', session, 'emit', /send\(data\)/],
  ['session', session, 'disconnect', /close\(/],
  ['session', session, 'handshake', /authenticate returned/],
  ['room', () => new Hub().room('a'), 'send emit broadcast', /publish\(data\)/],
  ['room', () => new Hub().room('a'), 'size', /members\.size/],
  ['rooms', () => serveRooms({}), 'close', /rooms\.hub\.close\(\)/],
  ['rooms', () => serveRooms({}), 'room publish send to in', /rooms\.hub\.room\(name\)/],
  ['rooms', () => roomsOf(live()), 'emit send broadcast to', /publish\(room, data\)/],
  ['rooms', () => roomsOf(live()), 'leave', /end its loop/],
  ['rooms', () => roomsOf(live()), 'close', /close the ReconnectingConn/],
  ['live', live, 'once off', /on\(event, listener\) returns/],
  ['live', live, 'readMessage readJSON nextReader messages', /receive\(handler\)/],
  ['live', live, 'emit', /send\(data\)/],
  ['live', live, 'readyState', /state/],
];

describe('N10 a name of another API', () => {
  it.each(NAMES)('says what to write: %s, %s: %s', async (owner, make, names, says) => {
    const target = (await Promise.resolve(make())) as Record<
      string,
      (...args: unknown[]) => unknown
    >;
    for (const name of names.split(' ')) {
      const use = (): unknown => target[name]!('message', handler);
      expect(use).toThrow(TypeError);
      expect(use).toThrow(says);
      expect(use).toThrow(`${owner}.${name}: `);
    }
  });

  it('starts the stack at the caller', () => {
    const [conn] = connPair();
    const use = (): never => conn.emit();
    expect.assertions(1);
    try {
      use();
    } catch (error) {
      expect((error as Error).stack).toMatch(/^.*\n.*habits\.test\.ts/);
    }
  });

  it('may be a property of the application', () => {
    const conn = connPair()[0] as Conn & { url: string };
    conn.url = '/chat';
    expect(conn.url).toBe('/chat');
    expect(Object.keys(connPair()[0])).not.toContain('url');
  });

  it('is not shown when an object is printed, spread or compared', () => {
    const [conn] = connPair();
    expect(Object.keys(Object.assign({}, conn))).toEqual(['data', 'subprotocol', 'extensions']);
  });

  it('does not make a stream of a Conn', async () => {
    const conn = connPair()[0] as unknown as Duplex;
    expect(() => socketTransport(conn)).toThrow('expected a socket or another Duplex');
    await expect(dial('ws://h', { proxy: false, netDial: () => conn })).rejects.toThrow(
      'netDial: expected a Duplex or a Transport',
    );
  });

  it('has the sentence in its type', () => {
    type Emit = (...write: readonly 'write send(data), or writeJSON(value)'[]) => never;
    expectTypeOf<Conn['emit']>().toEqualTypeOf<Emit>();
    expectTypeOf<Hub['clients']>().toEqualTypeOf<'write hub.sessions'>();
    expectTypeOf<WsServer['clients']>().toEqualTypeOf<'write server.connections'>();
  });
});

describe('N14 close as a listener', () => {
  it('says how to write it', async () => {
    const running = await server();
    const close = Reflect.get(running, 'close') as (signal: string) => unknown;
    await expect(close('SIGTERM')).rejects.toThrow(
      'close: as a listener, use () => server.close()',
    );
  });

  it.each<[unknown, RegExp]>([
    ['SIGTERM', /as a listener, use \(\) => server\.close\(\)/],
    [() => {}, /it takes no callback: await it/],
    [5000, /write \{ timeout: 5000 \}/],
  ])('with %s says what to write', async (argument, says) => {
    const running = await server();
    await expect(running.close(argument as object)).rejects.toThrow(says);
  });
});
