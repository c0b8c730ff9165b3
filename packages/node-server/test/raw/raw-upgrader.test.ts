import { createServer } from 'node:http';
import { RequestHead } from '@ws/codec';
import type { Transport, TransportSink } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type AdmitOrRefuse, admit, HandshakeError, TransportError } from '../../src/index.ts';
import { RawUpgrader, route } from '../../src/raw/index.ts';
import { ACCEPT, masked, nothingUnhandled, parseAnswer, request } from '../raw.ts';
import { Wire } from './wire.ts';

nothingUnhandled();

const TEXT = 1;
const noReport = { report: () => {} };

/** Feeds a request to a new stream of an upgrader, and returns the status of the answer. */
async function statusOf<Result extends AdmitOrRefuse>(
  upgrader: RawUpgrader<Result>,
  bytes: Uint8Array,
): Promise<number> {
  const wire = new Wire();
  upgrader.listener(() => {})(wire);
  wire.push(bytes);
  const { status } = parseAnswer(await wire.answered());
  wire.destroy();
  return status;
}

describe('RawUpgrader.upgrade', () => {
  it('opens a connection whose request was cut at any byte, and reads the frame behind it', async () => {
    const bytes = Buffer.concat([request(), masked(TEXT, 'hello')]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const wire = new Wire();
      const opening = new RawUpgrader({ heartbeat: false }).upgrade(wire, bytes.subarray(0, cut));
      wire.push(bytes.subarray(cut));
      const conn = await opening;
      expect((await conn.readMessage()).text()).toBe('hello');
      expect(parseAnswer(await wire.answered()).headers.get('sec-websocket-accept')).toBe(ACCEPT);
      conn.terminate();
    }
  });

  it('opens a connection whose request arrives byte by byte', async () => {
    const wire = new Wire();
    const opening = new RawUpgrader({ heartbeat: false }).upgrade(wire);
    for (const byte of Buffer.concat([request(), masked(TEXT, 'x'.repeat(300))])) {
      wire.push(Buffer.of(byte));
    }
    const conn = await opening;
    expect((await conn.readMessage()).text()).toBe('x'.repeat(300));
    conn.terminate();
  });

  it('reads a stream that was paused before', async () => {
    const bytes = request();
    const wire = new Wire();
    wire.pause();
    const opening = new RawUpgrader({ heartbeat: false }).upgrade(wire, bytes.subarray(0, 30));
    wire.push(bytes.subarray(30));
    const conn = await opening;
    expect(conn.state).toBe('open');
    conn.terminate();
  });

  it.each(['upgrade', 'accept'] as const)(
    'copies early bytes: the caller of %s may use its memory again',
    async (way) => {
      let admit!: (result: boolean) => void;
      const authenticate = (): Promise<boolean> => new Promise((resolve) => (admit = resolve));
      const upgrader = new RawUpgrader({ heartbeat: false, authenticate });
      const head = new RequestHead();
      const bytes = request();
      const frame = masked(TEXT, 'hello');
      head.push(bytes);
      const early = way === 'accept' ? Buffer.from(frame) : Buffer.concat([bytes, frame]);
      const opening =
        way === 'accept'
          ? upgrader.accept(head, new Wire(), early)
          : upgrader.upgrade(new Wire(), early);
      early.fill(0);
      admit(true);
      const conn = await opening;
      expect((await conn.readMessage()).text()).toBe('hello');
      conn.terminate();
    },
  );

  it.each([
    ['only logs', () => {}, 'HTTP/1.1 403 '],
    ['returns one', () => ({ status: 418 }), 'HTTP/1.1 418 '],
    [
      'ends',
      (_req: unknown, socket: Wire) => socket.end('HTTP/1.1 418 Own\r\n\r\n'),
      'HTTP/1.1 418 ',
    ],
  ])(
    'gives one answer on a stream that counts no bytes when the hook %s',
    async (_, error, start) => {
      const wire = new Wire();
      const upgrader = new RawUpgrader({ checkOrigin: () => false, error: error as never });
      await expect(upgrader.upgrade(wire, request())).rejects.toMatchObject({ status: 403 });
      const answer = await wire.answered();
      expect([answer.slice(0, start.length), answer.split('HTTP/1.1 ').length]).toEqual([start, 2]);
      wire.destroy();
    },
  );

  it('forgets a stream that had closed before the call', async () => {
    const upgrader = new RawUpgrader({ report: () => {} });
    const head = new RequestHead();
    head.push(request());
    const wire = new Wire();
    wire.destroy();
    await wire.gone;
    await expect(upgrader.accept(head, wire)).rejects.toThrow(TransportError);
    // It would wait for the timeout, 30 s.
    expect(await upgrader.close()).toMatchObject({ closed: 0, terminated: 0 });
  });

  it('rejects with the refusal, which the client gets', async () => {
    const wire = new Wire();
    const opening = new RawUpgrader().upgrade(
      wire,
      request({ set: ['Origin: https://evil.example'] }),
    );
    await expect(opening).rejects.toThrow(/^websocket: 403: origin/);
    const { status, body, headers } = parseAnswer(await wire.answered());
    expect([status, headers.get('connection')]).toEqual([403, 'close']);
    expect(body).toMatch(/^origin https:\/\/evil.example does not match host/);
    wire.destroy();
  });

  it('rejects with TransportError when the client leaves within the head', async () => {
    const upgrader = new RawUpgrader();
    const wire = new Wire();
    const opening = upgrader.upgrade(wire, Buffer.from('GET / HT'));
    wire.destroy();
    await expect(opening).rejects.toThrow(TransportError);
    const silent = new Wire();
    const second = upgrader.upgrade(silent);
    silent.push(null);
    await expect(second).rejects.toThrow(TransportError);
    expect(silent.output).toHaveLength(0);
  });

  it('answers 400 to a FIN within the head', async () => {
    const wire = new Wire();
    const opening = new RawUpgrader().upgrade(wire, Buffer.from('GET / HT'));
    wire.push(null);
    await expect(opening).rejects.toMatchObject({ status: 400 });
    expect(parseAnswer(await wire.answered()).status).toBe(400);
  });

  it('takes a stream once', async () => {
    const wire = new Wire();
    const upgrader = new RawUpgrader({ heartbeat: false });
    const first = upgrader.upgrade(wire);
    await expect(upgrader.upgrade(wire)).rejects.toThrow(/called before/);
    wire.push(request());
    const conn = await first;
    await expect(upgrader.upgrade(wire)).rejects.toThrow(/called before/);
    conn.terminate();
  });

  it('ends a stream that has an encoding with an error that says so', async () => {
    const wire = new Wire();
    wire.setEncoding('utf8');
    const opening = new RawUpgrader().upgrade(wire);
    wire.push(request());
    await expect(opening).rejects.toThrow(TransportError);
    expect(wire.errored?.message).toMatch(/do not call setEncoding/);
  });

  it.each([
    ['a stream', [{}]],
    ['early bytes', [new Wire(), 'text']],
  ])('rejects another value than %s', async (_, args) => {
    const upgrade = new RawUpgrader().upgrade(...(args as [Wire]));
    await expect(upgrade).rejects.toThrow(TypeError);
  });
});

describe('RawUpgrader.accept', () => {
  const headOf = (bytes: Uint8Array): RequestHead => {
    const head = new RequestHead();
    head.push(bytes);
    return head;
  };

  it('answers a request that other code has parsed', async () => {
    const wire = new Wire();
    const upgrader = new RawUpgrader({
      heartbeat: false,
      authenticate: (head) => admit(head.target),
    });
    const conn = await upgrader.accept(headOf(request()), wire, masked(TEXT, 'early'));
    expect(parseAnswer(await wire.answered()).status).toBe(101);
    expect((await conn.readMessage()).text()).toBe('early');
    expect(conn.data).toBe('/chat');
    expect(upgrader.stats).toMatchObject({ opened: 1, open: 1, handshakesPending: 0 });
    conn.terminate();
  });

  it('takes the address from the stream, if the request has none', async () => {
    const wire = Object.assign(new Wire(), { localAddress: '::1', remoteAddress: '::2' });
    const upgrader = new RawUpgrader({
      limits: [{ by: 'address', connections: 1 }],
      heartbeat: false,
    });
    const conn = await upgrader.accept(headOf(request()), wire);
    expect(parseAnswer(await wire.answered()).status).toBe(101);
    const second = Object.assign(new Wire(), { localAddress: '::1', remoteAddress: '::2' });
    await expect(upgrader.accept(headOf(request()), second)).rejects.toMatchObject({ status: 429 });
    conn.terminate();
    second.destroy();
  });

  it('checks it as a request of its own', async () => {
    const upgrader = new RawUpgrader();
    const facts = headOf(request({ set: ['Sec-WebSocket-Version: 8'] }));
    const wire = new Wire();
    await expect(upgrader.accept(facts, wire)).rejects.toMatchObject({ status: 426 });
    expect(parseAnswer(await wire.answered()).headers.get('sec-websocket-version')).toBe('13');
    wire.destroy();
  });

  it('answers over a Transport', async () => {
    const written: Buffer[] = [];
    let sink: TransportSink | undefined;
    const transport: Transport = {
      start: (given) => {
        sink = given;
      },
      write: (chunk, release) => {
        written.push(Buffer.from(chunk));
        release?.();
        return true;
      },
      pause: () => {},
      resume: () => {},
      end: () => {},
      destroy: () => sink?.close(),
      bufferedAmount: 0,
    };
    const conn = await new RawUpgrader({ heartbeat: false }).accept(headOf(request()), transport);
    expect(Buffer.concat(written).toString()).toMatch(/^HTTP\/1.1 101 /);
    sink!.data(masked(TEXT, 'over a transport'));
    expect((await conn.readMessage()).text()).toBe('over a transport');
    conn.terminate();
    expect((await conn.closed).code).toBe(1006);
  });

  it.each([
    ['head', [undefined, new Wire()]],
    ['head', [{}, new Wire()]],
    ['stream', [headOf(request()), {}]],
    ['stream', [headOf(request()), null]],
    ['early', [headOf(request()), new Wire(), 'text']],
  ])('rejects an invalid %s', async (name, args) => {
    const accepting = new RawUpgrader().accept(...(args as [RequestHead, Wire]));
    await expect(accepting).rejects.toThrow(new RegExp(`^${name}: expected`));
  });
});

describe('the callbacks on a head', () => {
  it('run in the order of the head, and not for the fields of the handshake', async () => {
    const calls: unknown[] = [];
    const upgrader = new RawUpgrader({
      onRequest: (target, head) => void calls.push(['request', target, head.method]),
      onHost: (host) => void calls.push(['host', host]),
      onHeader: (name, value) => void calls.push([name, value]),
      onBeforeUpgrade: (head) => {
        calls.push(['upgrade', head.target]);
        return { 'X-Served-By': 'raw' };
      },
      heartbeat: false,
    });
    const wire = new Wire();
    const conn = await upgrader.upgrade(
      wire,
      request({ set: ['Host: a.example'], add: ['Cookie: x=1', 'X-A: 1', 'x-a: 2'] }),
    );
    expect(calls).toEqual([
      ['request', '/chat', 'GET'],
      ['host', 'a.example'],
      ['Cookie', 'x=1'],
      ['X-A', '1'],
      ['x-a', '2'],
      ['upgrade', '/chat'],
    ]);
    expect(parseAnswer(await wire.answered()).headers.get('x-served-by')).toBe('raw');
    conn.terminate();
  });

  const CALLBACKS = ['onRequest', 'onHost', 'onHeader', 'onBeforeUpgrade'] as const;
  const tea = Object.assign(new Error('tea'), { expose: true, status: 418 });
  it.each(CALLBACKS)('%s refuses with a Refusal and an exposed Error', async (name) => {
    const bytes = request({ add: ['X-A: 1'] });
    const refusals = [
      [() => ({ refuse: 451 }), 451],
      [() => ({ refuse: true }), 401],
      [() => tea, 418],
      [
        () => {
          throw tea;
        },
        418,
      ],
    ] as const;
    for (const [callback, status] of refusals) {
      expect(await statusOf(new RawUpgrader({ [name]: callback }), bytes)).toBe(status);
    }
  });

  it.each(CALLBACKS)('%s fails closed with 500 for any other result', async (name) => {
    const bytes = request({ add: ['X-A: 1'] });
    const rejecting = (): unknown => Promise.reject(new Error('async'));
    const returning = [true, false, 0, 'no', { refuse: 99 }].map((result) => () => result);
    for (const call of [...returning, rejecting]) {
      let upgrader!: RawUpgrader;
      const reported = new Promise((report) => {
        upgrader = new RawUpgrader({ [name]: call, report });
      });
      expect(await statusOf(upgrader, bytes)).toBe(500);
      expect(await reported).toBeInstanceOf(TypeError);
    }
  });

  it('onHeader fails closed for a head that cannot list its headers', async () => {
    const head = new RequestHead();
    head.push(request());
    const facts = { method: 'GET', target: '/', version: '1.1' } as RequestHead;
    for (const name of ['has', 'once', 'lines', 'list'] as const) {
      (facts as Record<typeof name, unknown>)[name] = head[name].bind(head);
    }
    const upgrader = new RawUpgrader({ onHeader: () => {}, ...noReport });
    await expect(upgrader.accept(facts, new Wire())).rejects.toMatchObject({ status: 500 });
  });

  it('onBeforeUpgrade cannot set a header of the handshake', async () => {
    const upgrader = new RawUpgrader({
      onBeforeUpgrade: () => ({ 'Sec-WebSocket-Accept': 'x' }),
      ...noReport,
    });
    expect(await statusOf(upgrader, request())).toBe(500);
  });
});

describe('the options of a RawUpgrader', () => {
  it.each([
    [{ onHost: 1 }, /^onHost: expected a function/],
    [{ fallback: {} }, /^fallback: expected a server of node:http/],
    [{ unmatched: 'leave' }, /^unmatched: 'leave' needs the option fallback/],
    [{ port: 1 }, /port/],
    [{ request: () => {} }, /fallback/],
    [{ handshakeTimeout: -1 }, /^handshakeTimeout: /],
  ])('%o is an error that names it', (options, message) => {
    expect(() => new RawUpgrader(options as never)).toThrow(message);
  });

  it("refuses unmatched: 'leave' without routes", () => {
    const upgrader = new RawUpgrader({ unmatched: 'leave', fallback: createServer() });
    expect(() => upgrader.listener(() => {})).toThrow(/needs routes/);
  });

  it('gives a route options of its own', async () => {
    const upgrader = new RawUpgrader({ authenticate: () => false, heartbeat: false });
    const listener = upgrader.listener({
      '/open': route({ authenticate: false }, () => {}),
      '/closed': () => {},
    });
    const statuses = [];
    for (const path of ['/open', '/closed', '/other']) {
      const wire = new Wire();
      listener(wire);
      wire.push(request({ line: `GET ${path} HTTP/1.1` }));
      statuses.push(parseAnswer(await wire.answered()).status);
      wire.destroy();
    }
    expect(statuses).toEqual([101, 401, 404]);
  });

  it('bounds the handshakes that wait, with the words of an Upgrader', async () => {
    const upgrader = new RawUpgrader({
      maxHandshakes: 1,
      authenticate: () => new Promise<true>(() => {}),
    });
    const waiting = new Wire();
    const first = upgrader.upgrade(waiting, request());
    await expect(upgrader.upgrade(new Wire(), request())).rejects.toThrow(
      'websocket: 503: too many handshakes: 1 is the most; raise maxHandshakes to admit more',
    );
    waiting.destroy();
    await expect(first).rejects.toThrow(TransportError);
  });

  it('takes the heads that an Upgrader takes', async () => {
    const upgrader = new RawUpgrader();
    const lines = Array.from({ length: 900 }, (_, i) => `X-${i}: 1`);
    expect(await statusOf(upgrader, request({ add: lines }))).toBe(101);
    expect(await statusOf(upgrader, request({ add: [`Cookie: ${'x'.repeat(15_000)}`] }))).toBe(101);
    expect(
      await statusOf(upgrader, request({ line: `GET /?${'x'.repeat(15_000)} HTTP/1.1` })),
    ).toBe(101);
  });

  it('refuses a head over its limits with 431', async () => {
    const upgrader = new RawUpgrader();
    const lines = Array.from({ length: 1_001 }, (_, i) => `X-${i}: 1`);
    expect(await statusOf(upgrader, request({ add: lines }))).toBe(431);
    expect(await statusOf(upgrader, request({ add: [`X: ${'x'.repeat(16_384)}`] }))).toBe(431);
    expect(upgrader.stats.refused).toEqual({ 431: 2 });
  });

  it('refuses while it closes', async () => {
    const upgrader = new RawUpgrader();
    const half = new Wire();
    upgrader.listener(() => {})(half);
    half.push(request().subarray(0, 20));
    const closing = upgrader.close();
    await expect(upgrader.upgrade(new Wire(), request())).rejects.toBeInstanceOf(HandshakeError);
    await closing;
    await half.gone;
  });

  it('does not wait at a close for clients that come during it', async () => {
    const upgrader = new RawUpgrader();
    let end!: () => void;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const listener = upgrader.listener(() => ended);
    const first = new Wire();
    listener(first);
    first.push(request());
    await first.answered();
    const closing = upgrader.close({ timeout: 60_000 });
    first.push(Buffer.from('88820000000003e9', 'hex'));
    first.push(null);
    const late = new Wire();
    listener(late);
    late.push(request());
    expect(parseAnswer(await late.answered()).status).toBe(503);
    end();
    // The refused client has not ended its half.
    expect(await closing).toEqual({ closed: 1, terminated: 0, handlersPending: 0 });
    expect(late.closed).toBe(false);
    late.destroy();
  });
});
