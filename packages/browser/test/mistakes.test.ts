import { PreparedMessage } from '@ws/conn';
import { firstStackLine } from '@ws/tests';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  type BrowserConn,
  dial,
  fromWebSocket,
  JSONError,
  ReconnectingConn,
  reconnecting,
  UnsupportedError,
} from '../src/index.ts';
import { openSocket } from './fake-web-socket.ts';
import { connected, rejection, stubReportError } from './support.ts';

afterEach(() => void vi.unstubAllGlobals());

/** Arguments as JavaScript, without types, may pass them. */
// oxlint-disable-next-line typescript/no-explicit-any -- each row breaks a type
type Any = any;

const mistakes: Readonly<Record<string, () => unknown>> = {
  'dial, url': () => dial(5 as Any),
  'dial, a bad URL': () => dial('http://a:b:c'),
  'dial, options': () => dial('/feed', { WebSocke: 5 } as Any),
  'dial, subprotocols': () => dial('/feed', ['chat'] as Any),
  'dial, handshakeTimeout': () => dial('ws://a/', { handshakeTimeout: -1 }),
  'fromWebSocket, socket': () => fromWebSocket(5 as Any),
  'fromWebSocket, options': () => fromWebSocket(openSocket(), { readLimit: -1 }),
  'reconnecting, options': () => reconnecting('ws://a/', { minDlay: 5 } as Any),
  'new ReconnectingConn, options': () => new ReconnectingConn('ws://a/', { minDlay: 5 } as Any),
};

describe('the error about an argument of', () => {
  it.each(Object.entries(mistakes))('%s has a stack that starts at the caller', async (_, make) => {
    vi.stubGlobal('location', { href: 'https://a.example/' });
    expect(await firstStackLine(make)).toMatch(/\bmistakes\.test\.ts:\d+/);
  });

  it('a list of subprotocols says what to write', async () => {
    await expect(dial('ws://a/', ['chat'] as Any)).rejects.toThrow(
      'dial: write { subprotocols: [...] } for subprotocols',
    );
  });
});

/** A call with a bad argument, its values, the class of the error, and words of its message. */
type Row = readonly [
  call: string,
  values: readonly unknown[],
  make: (conn: BrowserConn, value: Any) => unknown,
  kind: abstract new (...args: never) => Error,
  words: string,
];

const DATA = 'expected a string or bytes, got ';
const TYPE = 'expected TextMessage (1) or BinaryMessage (2) as the type';
const detached = new Uint8Array(8);
structuredClone(detached, { transfer: [detached.buffer] });

const rows: readonly Row[] = [
  ['send', [undefined, null, 5, {}, [], Symbol('a')], (c, v) => c.send(v), TypeError, DATA],
  ['send', [new Blob(['x'])], (c, v) => c.send(v), TypeError, `send: ${DATA}Blob`],
  ['send', [detached], (c, v) => c.send(v), TypeError, 'detached'],
  ['send', [{ compres: true }, 5], (c, v) => c.send('a', v), TypeError, 'send: '],
  ['send', [{ signal: 1 }], (c, v) => c.send('a', v), TypeError, 'expected an AbortSignal'],
  ['writeMessage', [0, 3, '1', undefined], (c, v) => c.writeMessage(v, 'a'), TypeError, TYPE],
  ['writeMessage', [9], (c, v) => c.writeMessage(v, 'a'), UnsupportedError, 'writeMessage'],
  ['writeJSON', [1n, undefined], (c, v) => c.writeJSON(v), JSONError, 'written as JSON'],
  [
    'writePreparedMessage',
    [undefined, null, {}, 'a'],
    (c, v) => c.writePreparedMessage(v),
    TypeError,
    'expected a PreparedMessage',
  ],
  [
    'writePreparedMessage',
    [new PreparedMessage(8, '')],
    (c, v) => c.writePreparedMessage(v),
    UnsupportedError,
    'writePreparedMessage',
  ],
  ['nextWriter', [9], (c, v) => c.nextWriter(v), UnsupportedError, 'nextWriter'],
  ['nextWriter', [5], (c, v) => c.nextWriter(v), TypeError, TYPE],
  ['nextWriter', [null], (c, v) => c.nextWriter(1, v), TypeError, 'expected an object of options'],
  ['write', [{}], async (c, v) => (await c.nextWriter(1)).write(v), TypeError, `write: ${DATA}`],
  ['readMessage', [{ timeout: 0 }], (c, v) => c.readMessage(v), RangeError, 'timeout: '],
  ['readMessage', [{ timeout: false }], (c, v) => c.readMessage(v), TypeError, 'timeout: '],
  ['readMessage', [{ signal: 5 }], (c, v) => c.readMessage(v), TypeError, 'AbortSignal'],
  ['readMessage', [{ tiemout: 5 }, 5], (c, v) => c.readMessage(v), TypeError, 'readMessage: '],
  ['readJSON', [5, null, 'x'], (c, v) => c.readJSON(v), TypeError, 'expected an object of options'],
  ['readJSON', [{ foo: 1 }], (c, v) => c.readJSON(v), TypeError, 'known options: signal, timeout'],
  ['receive', [undefined, null, 5, {}], (c, v) => c.receive(v), TypeError, 'expected a function'],
  ['setReadLimit', [0, -1, NaN], (c, v) => c.setReadLimit(v), RangeError, 'setReadLimit: '],
  ['setReadLimit', ['5', undefined], (c, v) => c.setReadLimit(v), TypeError, 'setReadLimit: '],
  [
    'setReadDeadline',
    [NaN, new Date(NaN), 'now', '5', undefined, false, true, [], [5], { valueOf: () => 5 }, 5n],
    (c, v) => c.setReadDeadline(v),
    TypeError,
    'deadline: expected a Date',
  ],
  ['close', ['1000', null, {}], (c, v) => c.close(v), TypeError, 'close: code other than 1000'],
  ['close', [{}], (c, v) => c.close(1000, v), TypeError, 'expected a string as the reason'],
  ['close', [{ discard: 1 }], (c, v) => c.close(1000, '', v), TypeError, 'expected true or false'],
  [
    'close',
    [{ timeout: 0 }, { timeout: NaN }],
    (c, v) => c.close(1000, '', v),
    RangeError,
    'timeout',
  ],
  ['close', [{ timeout: '5' }], (c, v) => c.close(1000, '', v), TypeError, 'timeout'],
  ['setPingHandler', [() => {}], (c, v) => c.setPingHandler(v), UnsupportedError, 'setPingHandler'],
  ['setPongHandler', [() => {}], (c, v) => c.setPongHandler(v), UnsupportedError, 'setPongHandler'],
  [
    'setCloseHandler',
    [() => {}],
    (c, v) => c.setCloseHandler(v),
    UnsupportedError,
    'setCloseHandler',
  ],
  ['enableWriteCompression', [true], (c, v) => c.enableWriteCompression(v), UnsupportedError, ''],
  ['setCompressionLevel', [5], (c, v) => c.setCompressionLevel(v), UnsupportedError, ''],
  ['localAddr', [0], (c) => c.localAddr, UnsupportedError, 'localAddr'],
  ['remoteAddr', [0], (c) => c.remoteAddr, UnsupportedError, 'remoteAddr'],
  ['ping', [0], (c) => c.ping(), UnsupportedError, 'send a message of your own instead'],
  ['writeControl', [9], (c, v) => c.writeControl(v), UnsupportedError, 'writeControl'],
];

/** The members that throw. All others reject. */
const THROWS = /^(set|enable|localAddr|remoteAddr)/;
const thrown = async (call: () => unknown): Promise<unknown> => call();

describe('a BrowserConn', () => {
  it.each(rows)('fails %s, row %#, and stays usable', async (call, values, make, kind, words) => {
    stubReportError();
    const { conn, socket } = connected();
    for (const value of values) {
      const error = await rejection(
        THROWS.test(call) ? thrown(() => make(conn, value)) : (make(conn, value) as Any),
      );
      expect(error).toBeInstanceOf(kind);
      if (kind === UnsupportedError) {
        expect(error).toMatchObject({ code: 'WS_ERR_UNSUPPORTED', name: 'UnsupportedError' });
      }
      expect(error.message).toContain(words);
    }
    expect([conn.state, socket.sent, socket.closes]).toEqual(['open', [], []]);
    socket.message('next');
    expect((await conn.readMessage()).text()).toBe('next');
  });

  it('reports a bad argument once', async () => {
    const reported = stubReportError();
    const { conn } = connected();
    const calls = [() => conn.send(5 as Any), () => conn.readMessage(5 as Any)];
    for (const call of calls) await rejection(call());
    expect(reported).toHaveBeenCalledTimes(calls.length);
  });
});

describe('the property', () => {
  it('onmessage of a connection throws', async () => {
    const conn: Any = fromWebSocket(openSocket());
    expect(() => {
      conn.onmessage = () => {};
    }).toThrow('a Conn emits no events; read with receive(handler) or for await');
    conn.terminate();
  });
});
