// Every function that a caller gives to a connection, with a function that throws, rejects, never
// settles, and returns nonsense: nothing is unhandled, and the error is in `report`, in the
// rejection, or in `closed`.
import {
  FakePlatform,
  type FunctionsOf,
  mine,
  nothingUnhandled,
  TestTransport,
  WRONG_FUNCTIONS,
  type Wrong,
  type WrongFunction,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  type BufferPool,
  broadcast,
  Conn,
  type ConnOptions,
  type ConnSettings,
  type Observer,
  type Transport,
  TransportError,
  type TransportSink,
} from '../src/index.ts';
import { type Wired, wired } from './wired.ts';

nothingUnhandled();

const wrongs = Object.keys(WRONG_FUNCTIONS) as Wrong[];
const typeError = (words: string): object =>
  expect.objectContaining({ name: 'TypeError', message: expect.stringContaining(words) });
interface Outcome {
  /** What `report` gets. Default: nothing. */
  readonly reported?: readonly unknown[];
  /** What the peer gets before the test's own message. Default: nothing. */
  readonly sent?: readonly string[];
  /** The error of `act`; undefined when it succeeds. */
  readonly error?: unknown;
  /** The state afterwards. Default: `open`. */
  readonly state?: Conn['state'];
}

interface Row {
  readonly options?: (wrong: WrongFunction) => ConnSettings;
  readonly observer?: (wrong: WrongFunction) => Observer;
  /** Uses the function. */
  readonly act: (end: Wired, wrong: WrongFunction) => unknown;
  readonly outcomes: Readonly<Record<Wrong, Outcome>>;
}

const ignored: Outcome = {};
const failsWith1011: Outcome = { reported: [mine], sent: ['close 1011'], state: 'closing' };
const handler = (settles: readonly string[] = [], nonsense = settles): Row['outcomes'] => ({
  throws: failsWith1011,
  rejects: failsWith1011,
  'never settles': { sent: settles },
  'returns nonsense': { sent: nonsense },
});
const reportsOnly: Row['outcomes'] = {
  throws: { reported: [mine], sent: ['text x'] },
  rejects: { reported: [mine], sent: ['text x'] },
  'never settles': { sent: ['text x'] },
  'returns nonsense': { sent: ['text x'] },
};
const notSendable: Outcome = {
  reported: [typeError('expected a string or bytes')],
  error: typeError('expected a string or bytes'),
};
const notJSON = (cause: unknown): Outcome => ({
  reported: [expect.objectContaining({ code: 'WS_ERR_JSON', cause })],
  error: expect.objectContaining({ code: 'WS_ERR_JSON', cause }),
});
const send = ({ conn }: Wired): Promise<void> => conn.send('x');
const receiveOne = ({ conn, feed, frame }: Wired): void => {
  void conn.discardReads();
  feed(frame(1, 'in'));
};

type Given =
  | Exclude<FunctionsOf<ConnSettings>, never>
  | `writeBufferPool.${FunctionsOf<BufferPool>}`
  | `observer.${FunctionsOf<Observer>}`
  | `${'ping' | 'pong' | 'close' | 'receive'} handler`
  | 'toJSON'
  | 'filter of broadcast';

const PROMISE = typeError('writeJSON: a Promise, which JSON does not have; await it');

/** A new function option needs a row here. */
const ROWS: Readonly<Record<Given, Row>> = {
  report: {
    options: (report) => ({ report }),
    act: ({ conn }) => conn.send({} as never),
    outcomes: {
      throws: { error: typeError('expected a string or bytes') },
      rejects: { error: typeError('expected a string or bytes') },
      'never settles': { error: typeError('expected a string or bytes') },
      'returns nonsense': { error: typeError('expected a string or bytes') },
    },
  },
  'writeBufferPool.get': {
    options: (get) => ({ writeBufferPool: { get: get as BufferPool['get'], put() {} } }),
    act: send,
    outcomes: {
      throws: { reported: [mine], error: mine },
      rejects: {
        reported: [typeError('writeBufferPool: ')],
        error: typeError('got a promise'),
      },
      'never settles': {
        reported: [typeError('writeBufferPool: ')],
        error: typeError('got a promise'),
      },
      'returns nonsense': { sent: ['text x'] },
    },
  },
  'writeBufferPool.put': {
    options: (put) => ({ writeBufferPool: { get: () => undefined, put } }),
    act: send,
    outcomes: reportsOnly,
  },
  'observer.opened': { observer: (opened) => ({ opened }), act: send, outcomes: reportsOnly },
  'observer.messageOut': {
    observer: (messageOut) => ({ messageOut }),
    act: send,
    outcomes: reportsOnly,
  },
  'observer.messageIn': {
    observer: (messageIn) => ({ messageIn }),
    act: receiveOne,
    outcomes: {
      throws: { reported: [mine] },
      rejects: { reported: [mine] },
      'never settles': ignored,
      'returns nonsense': ignored,
    },
  },
  'observer.closed': {
    observer: (closed) => ({ closed }),
    act: ({ conn }) => conn.terminate(),
    outcomes: {
      throws: { reported: [mine], state: 'closed' },
      rejects: { reported: [mine], state: 'closed' },
      'never settles': { state: 'closed' },
      'returns nonsense': { state: 'closed' },
    },
  },
  'observer.reported': {
    observer: (reported) => ({ reported }),
    act: ({ conn }) => conn.send({} as never),
    outcomes: {
      throws: notSendable,
      rejects: notSendable,
      'never settles': notSendable,
      'returns nonsense': notSendable,
    },
  },
  'observer.blocked': {
    observer: (blocked) => ({ blocked }),
    options: () => ({ readAhead: 1 }),
    act: async ({ conn, feed, frame, platform, transport }) => {
      transport.block();
      void conn.send('x');
      feed(frame(1, 'in'), frame(1, 'in'));
      await platform.advance(5_100);
    },
    outcomes: reportsOnly,
  },
  'ping handler': {
    act: ({ conn, feed, frame }, wrong) => {
      conn.setPingHandler(wrong as never);
      feed(frame(9));
    },
    outcomes: handler(),
  },
  'pong handler': {
    act: ({ conn, feed, frame }, wrong) => {
      conn.setPongHandler(wrong as never);
      feed(frame(10));
    },
    outcomes: handler(),
  },
  'close handler': {
    act: ({ conn, feed, frame }, wrong) => {
      conn.setCloseHandler(wrong as never);
      void conn.discardReads();
      feed(frame(8, Uint8Array.of(3, 232)));
    },
    outcomes: {
      ...handler(),
      'never settles': { state: 'closing' },
      'returns nonsense': { sent: ['close 1000'], state: 'closing' },
    },
  },
  'receive handler': {
    act: ({ conn, feed, frame }, wrong) => {
      void conn.receive(wrong as never);
      feed(frame(1, 'in'));
    },
    outcomes: handler(),
  },
  toJSON: {
    act: ({ conn }, toJSON) => conn.writeJSON({ toJSON }),
    outcomes: {
      throws: notJSON(mine),
      // The promise is the application's own.
      rejects: { error: PROMISE, reported: [PROMISE] },
      'never settles': { error: PROMISE, reported: [PROMISE] },
      'returns nonsense': { sent: ['text 12345'] },
    },
  },
  'filter of broadcast': {
    act: ({ conn }, filter) => {
      broadcast([conn], 'x', { filter: filter as never });
    },
    outcomes: {
      throws: { error: mine },
      rejects: { error: typeError('filter: expected true or false, got a promise') },
      'never settles': { error: typeError('filter: expected true or false, got a promise') },
      'returns nonsense': { sent: ['text x'] },
    },
  },
};

describe.each(Object.entries(ROWS))('%s', (name, { options, observer, act, outcomes }) => {
  it.each(wrongs)('that %s has a clear outcome', async (wrong) => {
    const fn = WRONG_FUNCTIONS[wrong];
    const { reported = [], sent = [], error, state = 'open' } = outcomes[wrong];
    const seen: unknown[] = [];
    const platform = new FakePlatform();
    Object.assign(platform, { observer: observer?.(fn) });
    const report = (problem: unknown): void => void seen.push(problem);
    const end = wired('server', { report, ...options?.(fn) }, 0, platform);
    await platform.settle();
    const used = (async () => {
      // A rejection that JSON.stringify discards is handled here.
      if (name === 'toJSON' && wrong === 'rejects') {
        return act(end, () => {
          const promise = fn() as Promise<never>;
          promise.catch(() => {});
          return promise;
        });
      }
      return act(end, fn);
    })();
    const settled = used.then(
      () => undefined,
      (problem: unknown) => problem,
    );
    for (let i = 0; i < 5; i++) await platform.settle();
    expect(await settled).toEqual(error);
    expect(seen).toEqual(reported);
    expect(end.sent()).toEqual(sent);
    expect(end.conn.state).toBe(state);
    if (name !== 'report') expect(platform.warnings).toEqual([]);
    end.conn.terminate();
    await platform.settle();
    await end.conn.closed;
  });
});

type TransportFunction = FunctionsOf<Transport>;

/** How the connection ends when a function of its transport is wrong; undefined when it does not. */
const TRANSPORT: Readonly<Record<TransportFunction, Readonly<Record<Wrong, object | undefined>>>> =
  {
    start: {
      throws: mine,
      rejects: { constructor: TransportError, cause: mine },
      'never settles': undefined,
      'returns nonsense': undefined,
    },
    write: {
      throws: { constructor: TransportError, cause: mine },
      rejects: { constructor: TransportError, cause: typeError('transport.write: expected') },
      'never settles': { constructor: TransportError, cause: typeError('got Promise') },
      'returns nonsense': { constructor: TransportError, cause: typeError('got number') },
    },
    cork: failing(),
    uncork: failing(),
    pause: failing(),
    resume: failing(),
    end: failing(),
    destroy: failing(),
  };

function failing(): Readonly<Record<Wrong, object | undefined>> {
  const error = { constructor: TransportError, cause: mine };
  return {
    throws: error,
    rejects: error,
    'never settles': undefined,
    'returns nonsense': undefined,
  };
}

/** Makes the connection call the function. */
const CALLS: Readonly<Record<TransportFunction, (end: TransportEnd) => unknown>> = {
  start: () => {},
  write: ({ conn }) => conn.send('x'),
  cork: sendLarge,
  uncork: sendLarge,
  pause: fillReadAhead,
  resume: async (end) => {
    await fillReadAhead(end);
    await end.conn.readMessage();
    await end.conn.readMessage();
    // The third message has not arrived.
    void end.conn.readMessage();
  },
  end: ({ transport }) => transport.feedEnd(),
  destroy: ({ conn }) => conn.terminate(),
};

interface TransportEnd {
  readonly conn: Conn;
  readonly transport: TestTransport;
  readonly platform: FakePlatform;
}

function sendLarge({ conn }: TransportEnd): Promise<void> {
  return conn.send(new Uint8Array(100_000));
}

async function fillReadAhead({ transport, platform }: TransportEnd): Promise<void> {
  for (let i = 0; i < 3; i++) transport.feed('82 84 00000000 01020304');
  await platform.settle();
}

describe.each(Object.entries(TRANSPORT))('a transport', (name, outcomes) => {
  it.each(wrongs)(`whose ${name} %s has a clear outcome`, async (wrong) => {
    const platform = new FakePlatform();
    const transport = new TestTransport();
    const reported: unknown[] = [];
    const options: ConnOptions = {
      role: 'server',
      platform,
      heartbeat: false,
      readAhead: 1,
      report: (error) => void reported.push(error),
    };
    const expected = outcomes[wrong];
    const start: Transport['start'] = (sink) => TestTransport.prototype.start.call(transport, sink);
    const fn: WrongFunction = WRONG_FUNCTIONS[wrong];
    Object.assign(transport, {
      [name]: name === 'start' ? (sink: TransportSink) => (start(sink), fn()) : fn,
    });
    if (name === 'start' && wrong === 'throws') {
      expect(() => new Conn(transport, options)).toThrow(mine);
      return;
    }
    const conn = new Conn(transport, options);
    await platform.settle();
    const end = { conn, transport, platform };
    // The calls are part of the connection that fails.
    const used = (async () => CALLS[name as TransportFunction](end))().catch(() => {});
    await platform.settle();
    await used;
    if (expected !== undefined) {
      await platform.settle();
      expect((await conn.closed).error).toMatchObject(expected);
      expect(reported).toEqual(name === 'destroy' ? [mine] : []);
    } else {
      expect(reported).toEqual([]);
    }
  });
});
