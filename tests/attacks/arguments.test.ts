import {
  BinaryMessage,
  broadcast,
  Conn,
  type ConnSettings,
  formatCloseMessage,
  joinMessages,
  PingMessage,
  PreparedMessage,
  TextMessage,
} from '@ws/conn';
import { connSettingNames } from '@ws/conn/internal';
import { Dialer, dial } from '@ws/node-client';
import { serve, Upgrader } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { TestTransport } from '../kit/test-transport.ts';
import { atLeast, claim, survives } from './harness/index.ts';
import { targetConn } from './target-conn.ts';

/** Values of every type. Most arguments accept none of them. */
const VALUES = {
  number: 5,
  NaN: Number.NaN,
  undefined: undefined,
  null: null,
  boolean: true,
  object: {},
  array: [5],
  Symbol: Symbol('x'),
  bigint: 5n,
  function: () => {},
  Date: new Date(0),
  Map: new Map(),
};
type Kind = keyof typeof VALUES;

interface Method {
  readonly call: (value: never) => unknown;
  /** The values that are valid for this argument. */
  readonly takes: readonly Kind[];
}
const method = (call: (value: never) => unknown, ...takes: readonly Kind[]): Method => ({
  call,
  takes,
});

/** Values that count as empty options, because they have no option's name. */
const OPTIONS = ['undefined', 'object', 'array', 'Date', 'Map'] as const;

function methodsOf(conn: Conn, prepared: PreparedMessage): Readonly<Record<string, Method>> {
  return {
    send: method((v) => conn.send(v)),
    'writeMessage, type': method((v) => conn.writeMessage(v, 'x')),
    'writeMessage, text': method((v) => conn.writeMessage(TextMessage, v)),
    'writeMessage, bytes': method((v) => conn.writeMessage(BinaryMessage, v)),
    'writeMessage, options': method((v) => conn.writeMessage(0, 'x', v)),
    writePreparedMessage: method((v) => conn.writePreparedMessage(v)),
    'writeControl, type': method((v) => conn.writeControl(v)),
    'writeControl, data': method((v) => conn.writeControl(PingMessage, v), 'undefined'),
    'ping, data': method((v) => conn.ping(v), 'undefined'),
    'close, code': method((v) => conn.close(v), 'undefined'),
    'close, reason': method((v) => conn.close(1000, v), 'undefined'),
    nextWriter: method((v) => conn.nextWriter(v)),
    receive: method((v) => conn.receive(v), 'function'),
    'readMessage, options': method((v) => conn.readMessage(v), ...OPTIONS),
    'nextReader, options': method((v) => conn.nextReader(v), ...OPTIONS),
    'readJSON, options': method((v) => conn.readJSON(v), ...OPTIONS),
    setReadLimit: method((v) => conn.setReadLimit(v), 'number'),
    setReadDeadline: method((v) => conn.setReadDeadline(v), 'number', 'null', 'Date'),
    setWriteDeadline: method((v) => conn.setWriteDeadline(v), 'number', 'null', 'Date'),
    setPingHandler: method((v) => conn.setPingHandler(v), 'null', 'function'),
    setPongHandler: method((v) => conn.setPongHandler(v), 'null', 'function'),
    setCloseHandler: method((v) => conn.setCloseHandler(v), 'null', 'function'),
    enableWriteCompression: method((v) => conn.enableWriteCompression(v), 'boolean'),
    setCompressionLevel: method((v) => conn.setCompressionLevel(v), 'number'),
    'new Conn': method((v) => new Conn(new TestTransport(), v)),
    'new Conn, role': method((v) => new Conn(new TestTransport(), { role: v })),
    'new PreparedMessage, type': method((v) => new PreparedMessage(v, 'x')),
    'new PreparedMessage, data': method((v) => new PreparedMessage(TextMessage, v)),
    broadcast: method((v) => broadcast([conn], v)),
    'broadcast, to': method((v) => broadcast(v, prepared), 'Map'),
    joinMessages: method((v) => joinMessages(conn, v), 'undefined'),
    'formatCloseMessage, code': method((v) => formatCloseMessage(v)),
    'formatCloseMessage, reason': method((v) => formatCloseMessage(1000, v), 'undefined'),
    dial: method((v) => dial(v)),
    'dial, options': method((v) => dial('ws://127.0.0.1:1/', v), ...OPTIONS),
    'new Dialer': method((v) => new Dialer(v), ...OPTIONS, 'function'),
    'new Upgrader': method((v) => new Upgrader(v), ...OPTIONS, 'function'),
    serve: method((v) => serve(v, () => {}), ...OPTIONS, 'function'),
    'serve, handler': method((v) => serve({ port: 0 }, v), 'function'),
  };
}

describe('an argument of the wrong type', () => {
  it('is a TypeError or RangeError for each method, and sends nothing', async () => {
    const names = Object.keys(VALUES) as Kind[];
    const attack = claim('arguments of the wrong type, to each method', 'CWE-20');
    await survives(attack, { values: atLeast(12), coerced: 0, sent: 0 }, async () => {
      const { conn, transport } = targetConn('client', { report: () => {} });
      const methods = methodsOf(conn, new PreparedMessage(TextMessage, 'x'));
      const coerced: string[] = [];
      for (const [name, { call, takes }] of Object.entries(methods)) {
        for (const kind of names.filter((each) => !takes.includes(each))) {
          let error: unknown;
          try {
            await call(VALUES[kind] as never);
          } catch (thrown) {
            error = thrown;
          }
          const isNumber = typeof VALUES[kind] === 'number';
          const right = error instanceof TypeError || (isNumber && error instanceof RangeError);
          if (!right) coerced.push(`${name} of ${kind}: ${String(error)}`);
        }
      }
      expect(coerced).toEqual([]);
      expect(conn.state).toBe('open');
      const sent = transport.sent.length;
      conn.terminate();
      return { values: names.length, coerced: coerced.length, sent };
    });
  });
});

const WHOLE = (
  [
    ['readLimit', 'readAhead', 'highWaterMark'],
    ['maxBufferedAmount', 'writeBufferSize', 'fragmentationThreshold'],
  ] as const
).flat() satisfies readonly (keyof ConnSettings)[];
const TIMES = [
  'idleReadTimeout',
  'closeTimeout',
] as const satisfies readonly (keyof ConnSettings)[];
const SERVER = ['maxHandshakes', 'maxConnections'] as const;
const COMPRESSION = ['level', 'threshold', 'clientMaxWindowBits', 'maxBytes'];

type Make = (value: unknown) => unknown;

const makeConn = (settings: object): unknown =>
  new Conn(new TestTransport(), { role: 'server', ...settings });

function timesOf(conn: Conn): Readonly<Record<string, Make>> {
  return {
    ...Object.fromEntries(TIMES.map((name) => [name, (v: unknown) => makeConn({ [name]: v })])),
    'heartbeat.interval': (v) => makeConn({ heartbeat: { interval: v, timeout: 1 } }),
    'heartbeat.timeout': (v) => makeConn({ heartbeat: { interval: 1, timeout: v } }),
    'Dialer, handshakeTimeout': (v) => new Dialer({ handshakeTimeout: v as number }),
    'Upgrader, handshakeTimeout': (v) => new Upgrader({ handshakeTimeout: v as number }),
    'readMessage, timeout': (v) => conn.readMessage({ timeout: v as number }),
    'ping, timeout': (v) => conn.ping('', { timeout: v as number }),
    'close, timeout': (v) => conn.close(1000, '', { timeout: v as number }),
  };
}

function numbersOf(): Readonly<Record<string, Make>> {
  const entries: (readonly [string, Make])[] = [
    ...WHOLE.flatMap((name): (readonly [string, Make])[] => [
      [name, (v) => makeConn({ [name]: v })],
      [`Dialer, ${name}`, (v) => new Dialer({ [name]: v })],
      [`Upgrader, ${name}`, (v) => new Upgrader({ [name]: v })],
    ]),
    ...SERVER.map((name) => [name, (v: unknown) => new Upgrader({ [name]: v })] as const),
    ...COMPRESSION.map(
      (name) => [name, (v: unknown) => makeConn({ compression: { [name]: v } })] as const,
    ),
    ['followRedirects', (v) => new Dialer({ followRedirects: v as number })],
  ];
  return Object.fromEntries(entries);
}

/** Tries each value with each option. Returns those without the expected error. */
async function accepted(
  options: Readonly<Record<string, Make>>,
  values: readonly unknown[],
): Promise<string[]> {
  const wrong: string[] = [];
  for (const [name, make] of Object.entries(options)) {
    for (const value of values) {
      let error: unknown;
      try {
        await make(value);
      } catch (thrown) {
        error = thrown;
      }
      const expected = typeof value === 'number' ? RangeError : TypeError;
      const shown = Object.is(value, -0) ? '-0' : String(value);
      if (!(error instanceof expected)) wrong.push(`${name} of ${shown}: ${String(error)}`);
    }
  }
  return wrong;
}

const LONG = [2 ** 31, 2 ** 32, 2 ** 31 + 1, Number.MAX_SAFE_INTEGER];

/** Valid exceptions: zlib's own default level, and another way to write `false`. */
const TAKEN = ['level of -1: undefined', 'maxBytes of Infinity: undefined'];

describe('a bad number', () => {
  it('is a RangeError of the call that gets it, and is never converted', async () => {
    const values = [-1, Number.NaN, Infinity, 2 ** 53, 1.5, '5', -0];
    // A new setting must be added above.
    expect(connSettingNames.toSorted()).toEqual(
      [...WHOLE, ...TIMES, 'compression', 'heartbeat', 'report', 'writeBufferPool'].toSorted(),
    );
    // A string is a TypeError. zlib has a level of -1, and a maxBytes of Infinity means false.
    const attack = claim(
      '-1, NaN, Infinity, 2^53, 1.5, "5" and -0, for each numeric option',
      'CWE-20',
    );
    await survives(attack, { values: atLeast(7), accepted: 0 }, async () => {
      const { conn, transport } = targetConn('client');
      const wrong = [
        ...(await accepted(numbersOf(), values)).filter((each) => !TAKEN.includes(each)),
        ...(await accepted(timesOf(conn), values)),
      ];
      conn.terminate();
      expect(wrong).toEqual([]);
      return { values: values.length, accepted: wrong.length, sent: transport.sent.length };
    });
  });

  it('is a RangeError if a timer of Node would turn it into 1 ms', async () => {
    const attack = claim('durations that overflow a timer of Node', 'CWE-190');
    await survives(attack, { accepted: 0 }, async () => {
      const { conn, transport } = targetConn('client');
      const times = timesOf(conn);
      const wrong = await accepted(times, LONG);
      expect(Object.keys(times).length).toBeGreaterThan(8);
      conn.terminate();
      return { accepted: wrong.length, sent: transport.sent.length };
    });
  });
});
