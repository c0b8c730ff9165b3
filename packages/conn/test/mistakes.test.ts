import { EventEmitter } from 'node:events';
import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import {
  broadcast,
  Conn,
  connPair,
  joinMessages,
  PreparedMessage,
  streamTransport,
  TextMessage,
} from '../src/index.ts';
import { PendingBytesMistake } from '../src/writing/pending-bytes.ts';
import { wired } from './wired.ts';

/** Calls with a wrong argument, by name. Each throws or rejects. */
const MISTAKES: readonly (readonly [string, (conn: Conn) => unknown])[] = [
  ['new Conn', () => new Conn({} as never, { role: 'server' })],
  ['connPair', () => connPair({ readLimit: 'x' } as never)],
  ['broadcast', () => broadcast([], 5 as never)],
  ['broadcast to another object', () => broadcast([5] as never, 'x')],
  ['new PreparedMessage', () => new PreparedMessage(TextMessage, 5 as never)],
  ['joinMessages', (conn) => joinMessages(conn, 5 as never)],
  ['streamTransport', () => streamTransport(5 as never)],
  ['conn.on', (conn) => conn.on()],
  ['setReadLimit', (conn) => conn.setReadLimit('x' as never)],
  ['setReadDeadline', (conn) => conn.setReadDeadline('x' as never)],
  ['setWriteDeadline', (conn) => conn.setWriteDeadline('x' as never)],
  ['setPingHandler', (conn) => conn.setPingHandler(5 as never)],
  ['setPongHandler', (conn) => conn.setPongHandler(5 as never)],
  ['setCloseHandler', (conn) => conn.setCloseHandler(5 as never)],
  ['enableWriteCompression', (conn) => conn.enableWriteCompression(5 as never)],
  ['setCompressionLevel', (conn) => conn.setCompressionLevel(99)],
  ['readMessage', (conn) => conn.readMessage(500 as never)],
  ['readJSON', (conn) => conn.readJSON(500 as never)],
  ['nextReader', (conn) => conn.nextReader(500 as never)],
  ['receive', (conn) => conn.receive(5 as never)],
  ['send', (conn) => conn.send({} as never)],
  ['writeMessage', (conn) => conn.writeMessage(77, 'x')],
  ['writeJSON', (conn) => conn.writeJSON(undefined)],
  ['writePreparedMessage', (conn) => conn.writePreparedMessage({} as never)],
  ['writeControl', (conn) => conn.writeControl(77)],
  ['nextWriter', (conn) => conn.nextWriter(77)],
  ['ping', (conn) => conn.ping(5 as never)],
  ['close', (conn) => conn.close(5000)],
  ['write', async (conn) => (await conn.nextWriter(TextMessage)).write({} as never)],
];

describe('the stack of an error about an argument', () => {
  it.each(MISTAKES)('of %s starts at the line of the caller', async (_, call) => {
    const { conn } = wired('server', { report: () => {} });
    const error = await Promise.resolve()
      .then(() => call(conn))
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    const [, first] = (error as Error).stack!.split(/\n +at /);
    expect(first).toContain('mistakes.test.ts');
  });

  it('stays as it is when the public method is not on it', async () => {
    const { conn } = wired('server', { report: () => {} });
    const error = await conn['@ws/internals']
      .sendWaiting({ type: 1, data: 5 } as never)
      .catch((e) => e);
    expect((error as Error).stack).toMatch(/^ +at /m);
  });
});

describe('new Conn', () => {
  class OddStreams {
    readonly readable = {};
    readonly writable = {};
  }
  const socket = new Duplex();
  it.each<[string, unknown, string]>([
    [
      'a socket',
      socket,
      'new Conn: expected a Transport, got Duplex; after a handshake, socketTransport(socket) of @ws/node-io makes one of a socket; serve and dial do both, and Dialer.handshake for an open stream',
    ],
    [
      'two streams',
      new OddStreams(),
      'new Conn: expected a Transport, got OddStreams; streamTransport({ readable, writable }) makes one of two streams',
    ],
    [
      'a WebSocket',
      Object.assign(new EventEmitter(), { send() {} }),
      'new Conn: expected a Transport, got EventEmitter; a WebSocket does the work of a Conn itself: dial of @ws/browser opens one',
    ],
    ['null', null, 'new Conn: expected a Transport, got null; it has no method start'],
    ['an object', {}, 'new Conn: expected a Transport, got Object; it has no method start'],
  ])('says how to make a transport of %s', (_, transport, message) => {
    expect(() => new Conn(transport as never, { role: 'server' })).toThrow(new TypeError(message));
  });
});

describe('a number in place of the options', () => {
  it('is the timeout of a read, and of close', async () => {
    const { conn } = wired('server', { report: () => {} });
    await expect(conn.readMessage(500 as never)).rejects.toThrow(
      'readMessage: expected an object of options, got number; write { timeout: 500 }',
    );
    await expect(conn.close(1000, '', 500 as never)).rejects.toThrow(
      'close: expected an object of options, got number; write { timeout: 500 }',
    );
    await expect(conn.ping(500 as never)).rejects.toThrow(
      'ping: expected a string or bytes, got number; options are the second argument',
    );
  });
});

describe('an object in place of a message', () => {
  it('is an error that says what to write', () => {
    const { conn } = wired('server', { report: () => {} });
    expect(() => broadcast([conn], {} as never)).toThrow(
      'broadcast: expected a string or bytes, got Object; JSON.stringify makes a string of it',
    );
    expect(() => new PreparedMessage(TextMessage, {} as never)).toThrow(
      'new PreparedMessage: expected a string or bytes, got Object; JSON.stringify makes a string of it',
    );
  });
});

describe('a deadline', () => {
  it.each(['setReadDeadline', 'setWriteDeadline'] as const)(
    'of %s that is a duration says how to write it',
    async (setter) => {
      const { conn } = wired('server');
      conn[setter](5000);
      const call = setter === 'setReadDeadline' ? conn.readMessage() : conn.send('x');
      await expect(call).rejects.toThrow(
        `${setter === 'setReadDeadline' ? 'read' : 'write'} timeout: the deadline 1970-01-01T00:00:05.000Z has passed; pass Date.now() + 5000 (${setter})`,
      );
    },
  );

  it.each<[Date | number, string]>([
    [new Date(5000), '1970-01-01T00:00:05.000Z'],
    [Date.UTC(2020, 0), '2020-01-01T00:00:00.000Z'],
    [-Infinity, '-Infinity'],
  ])('in the past says when it was: %s', async (at, when) => {
    const { conn } = wired('server');
    conn.setReadDeadline(at);
    await expect(conn.readMessage()).rejects.toThrow(
      `read timeout: the deadline ${when} has passed (setReadDeadline)`,
    );
  });
});

describe('a buffer that is transferred while its write waits', () => {
  const size = 100_000;
  const transfer = ({ buffer }: Uint8Array<ArrayBuffer>): void =>
    void structuredClone(buffer, { transfer: [buffer] });
  const text = 'bytes of a pending write were detached; leave them alone until its promise settles';

  it('is reported, and is the error of the connection', async () => {
    const reported: unknown[] = [];
    const { conn, platform, transport, block } = wired('server', {
      report: (error, { where }) => void reported.push([(error as Error).message, where]),
    });
    await block('fills the transport');
    const bytes = new Uint8Array(size);
    const written = conn.send(bytes);
    transfer(bytes);
    transport.drain();
    await expect(written).rejects.toThrow(text);
    await platform.settle();
    transport.sink!.close();
    expect((await conn.closed).error?.message).toContain(text);
    expect(reported).toEqual([[`websocket: ${text}`, 'writeMessage']]);
  });

  it('is reported when the transport has the bytes', async () => {
    const reported: unknown[] = [];
    const { conn, transport } = wired('server', { report: (error) => void reported.push(error) });
    const error = new PendingBytesMistake();
    transport.sink!.close(error);
    expect((await conn.closed).error?.message).toContain(text);
    expect(reported).toEqual([error]);
  });

  it('is the only error of a transport that is reported', async () => {
    const reported: unknown[] = [];
    const { conn, transport } = wired('server', { report: (error) => void reported.push(error) });
    transport.sink!.close(new TypeError('terminated'));
    await conn.closed;
    expect(reported).toEqual([]);
  });
});

describe('a test for an emitter', () => {
  it('reads `on` of a Conn without an error', () => {
    const { conn } = wired('server');
    expect(typeof conn.on).toBe('function');
  });
});
