import { FakePlatform, nothingUnhandled, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { CloseError, Conn, connPair, JSONError, type ReportContext } from '../../src/index.ts';
import { type Wired, wired } from '../wired.ts';

nothingUnhandled();

const mine = new Error('mine');
const fail = (): never => {
  throw mine;
};

const failLater = (): Promise<never> => Promise.reject(mine);

interface Reporting extends Wired {
  readonly reported: { readonly error: unknown; readonly context: ReportContext }[];
}

async function reporting(role: 'client' | 'server' = 'server'): Promise<Reporting> {
  const reported: { error: unknown; context: ReportContext }[] = [];
  const end = wired(role, {
    report: (error, context) => void reported.push({ error, context }),
  });
  await end.platform.settle();
  return { ...end, reported };
}

describe.each<{ says: string; where: string; act: (conn: Conn) => unknown }>([
  { says: 'send of an object', where: 'send', act: (conn) => conn.send({} as never) },
  {
    says: 'writeMessage of no type',
    where: 'writeMessage',
    act: (conn) => conn.writeMessage(3, 'x'),
  },
  {
    says: 'send with bad options',
    where: 'send',
    act: (conn) => conn.send('x', { compress: 5 } as never),
  },
  {
    says: 'writeControl that is too long',
    where: 'writeControl',
    act: (conn) => conn.writeControl(9, 'x'.repeat(200)),
  },
  {
    says: 'writePreparedMessage of a string',
    where: 'writePreparedMessage',
    act: (conn) => conn.writePreparedMessage('x' as never),
  },
  { says: 'writeJSON of a BigInt', where: 'writeJSON', act: (conn) => conn.writeJSON(1n) },
  {
    says: 'writeJSON of a failing toJSON',
    where: 'writeJSON',
    act: (conn) => conn.writeJSON({ toJSON: fail }),
  },
  { says: 'nextWriter of no type', where: 'nextWriter', act: (conn) => conn.nextWriter(0) },
  { says: 'ping that is too long', where: 'ping', act: (conn) => conn.ping('x'.repeat(200)) },
  { says: 'close with 1005', where: 'close', act: (conn) => conn.close(1005) },
  {
    says: 'readMessage with a bad timeout',
    where: 'readMessage',
    act: (conn) => conn.readMessage({ timeout: -1 }),
  },
  {
    says: 'nextReader with a bad signal',
    where: 'nextReader',
    act: (conn) => conn.nextReader({ signal: 5 } as never),
  },
  {
    says: 'readJSON with a bad timeout',
    where: 'readJSON',
    act: (conn) => conn.readJSON({ timeout: -1 }),
  },
  { says: 'receive without a handler', where: 'receive', act: (conn) => conn.receive(5 as never) },
])('$says', ({ where, act }) => {
  it('is reported, and sends nothing', async () => {
    const { conn, reported, platform, sent } = await reporting();
    const error = await Promise.resolve(act(conn)).catch((reason: unknown) => reason);
    await platform.settle();
    expect(reported).toEqual([{ error, context: { conn, where } }]);
    expect(error).toBeInstanceOf(Error);
    expect(sent()).toEqual([]);
    expect(conn.state).toBe('open');
  });

  it('is reported when no code awaits it', async () => {
    const { conn, reported, platform } = await reporting();
    void act(conn);
    await platform.settle();
    expect(reported).toHaveLength(1);
  });
});

describe('an error of the application', () => {
  it.each([
    ['receive', 1, (conn: Conn): void => void conn.receive(fail)],
    ['receive', 1, (conn: Conn): void => void conn.receive(failLater)],
    ['ping handler', 9, (conn: Conn) => conn.setPingHandler(fail)],
    ['pong handler', 10, (conn: Conn) => conn.setPongHandler(failLater)],
    ['close handler', 8, (conn: Conn) => conn.setCloseHandler(fail)],
  ] as const)('in a handler (%s) closes with 1011 and is reported', async (where, opcode, set) => {
    const { conn, feed, frame, reported, platform, sent } = await reporting();
    set(conn);
    feed(frame(opcode, opcode === 8 ? Uint8Array.of(3, 232) : 'x'));
    await platform.settle();
    await platform.settle();
    expect(reported).toEqual([{ error: mine, context: { conn, where } }]);
    expect(sent()).toEqual(['close 1011']);
  });

  it('in a `receive` handler after our close frame is reported', async () => {
    const { conn, feed, frame, reported, platform } = await reporting();
    let reject: (error: Error) => void = () => {};
    void conn.receive(() => new Promise((_, rejects) => (reject = rejects)));
    feed(frame(1, 'x'));
    await platform.settle();
    void conn.close();
    reject(mine);
    await platform.settle();
    expect(reported.map(({ error }) => error)).toEqual([mine]);
  });

  it('is reported once when a handler throws on what a write reported', async () => {
    const { conn, feed, frame, reported, platform } = await reporting();
    void conn.receive(() => conn.send({} as never));
    feed(frame(1, 'x'));
    await platform.settle();
    expect(reported.map(({ context }) => context.where)).toEqual(['send']);
  });

  it('is not the end of the connection', async () => {
    const { conn, feed, frame, reported, platform } = await reporting();
    void conn.receive(async () => void (await conn.ping()));
    feed(frame(1, 'x'));
    await platform.settle();
    conn.terminate();
    void conn.send('late');
    void conn.ping();
    await platform.settle();
    await expect(conn.readMessage()).rejects.toBeInstanceOf(CloseError);
    expect(reported).toEqual([]);
  });

  it('is the end of another connection', async () => {
    const other = wired('server');
    other.conn.terminate();
    const { conn, feed, frame, reported, platform } = await reporting();
    void conn.receive(() => other.conn.send('relayed'));
    feed(frame(1, 'x'));
    await platform.settle();
    // A write after the end rejects in a later turn.
    await other.platform.settle();
    await platform.settle();
    expect(reported).toEqual([
      { error: expect.any(CloseError), context: { conn, where: 'receive' } },
    ]);
  });

  it('is not a message of the peer that is no JSON', async () => {
    const { conn, feed, frame, reported, platform } = await reporting();
    feed(frame(1, '{'));
    await expect(conn.readJSON()).rejects.toBeInstanceOf(JSONError);
    await platform.settle();
    expect(reported).toEqual([]);
  });

  it('is not the reason of a signal', async () => {
    const { conn, reported, platform } = await reporting();
    const signal = AbortSignal.abort(mine);
    void conn.readMessage({ signal });
    void conn.send('x', { signal });
    void conn.ping('x', { signal });
    await platform.settle();
    expect(reported).toEqual([]);
  });

  it('in a write that waited for a writer is reported', async () => {
    let full = false;
    const reported: unknown[] = [];
    const { conn, platform } = wired('server', {
      report: (error) => void reported.push(error),
      writeBufferPool: { get: () => (full ? fail() : undefined), put() {} },
    });
    const writer = await conn.nextWriter(1);
    void conn.send('waits');
    await writer.write('x');
    await writer.close();
    await platform.settle();
    const next = await conn.nextWriter(1);
    void conn.send('waits too');
    full = true;
    next.abort();
    await platform.settle();
    expect(reported).toEqual([mine]);
  });

  it('of a writer is reported', async () => {
    const { conn, reported } = await reporting();
    const writer = await conn.nextWriter(1);
    await expect(writer.write({} as never)).rejects.toThrow(TypeError);
    expect(reported.map(({ context }) => context)).toEqual([{ conn, where: 'MessageWriter' }]);
  });

  it('of a reader is reported', async () => {
    const { conn, feed, frame, reported } = await reporting();
    feed(frame(1, 'x'));
    const reader = await conn.nextReader();
    await expect(reader.read(new Uint8Array(0))).rejects.toThrow(RangeError);
    await expect(reader.read([] as never)).rejects.toThrow(TypeError);
    expect(reported.map(({ context }) => context)).toEqual([
      { conn, where: 'read' },
      { conn, where: 'read' },
    ]);
  });
});

describe('report', () => {
  it('is by default a warning with the stack, one of a kind a second', async () => {
    const { conn, platform } = wired('server');
    for (let i = 0; i < 3; i++) void conn.send({} as never);
    await platform.settle();
    expect(platform.warnings).toHaveLength(1);
    expect(platform.warnings[0]).toMatch(/^TypeError: send: expected a string or bytes[^]* at /);
    await platform.advance(1_000);
    void conn.send({} as never);
    await platform.settle();
    expect(platform.warnings[1]).toMatch(/\(errors not printed before it: 2\)/);
  });

  it.each<[string, () => unknown]>([
    ['throws', fail],
    ['rejects', failLater],
  ])('that %s is itself a warning, after the error that it got', async (_, report) => {
    const { conn, platform } = wired('server', { report });
    void conn.send({} as never);
    await platform.settle();
    expect(platform.warnings).toEqual([
      expect.stringMatching(/^TypeError: send: expected[^]*\nIn send,/),
      expect.stringMatching(/^Error: mine\n/),
    ]);
    expect(conn.state).toBe('open');
  });

  it.each<[string, (hostile: object) => unknown]>([
    [
      'throws',
      (hostile) => {
        throw hostile;
      },
    ],
    ['rejects with', (hostile) => Promise.reject(hostile)],
  ])(
    'that %s a Proxy whose traps throw is itself a warning, after the error that it got',
    async (_, report) => {
      const fails = new Proxy<ProxyHandler<object>>({}, { get: () => fail });
      const { conn, platform } = wired('server', { report: () => report(new Proxy({}, fails)) });
      void conn.send({} as never);
      await platform.settle();
      expect(platform.warnings).toEqual([
        expect.stringMatching(/^TypeError: send: expected/),
        expect.any(String),
      ]);
      expect(conn.state).toBe('open');
    },
  );

  it('that returns a Proxy whose traps throw has returned no promise', async () => {
    const fails = new Proxy<ProxyHandler<object>>({}, { get: () => fail });
    const { conn, platform } = wired('server', { report: () => new Proxy({}, fails) });
    void conn.send({} as never);
    await platform.settle();
    expect(platform.warnings).toEqual([]);
    expect(conn.state).toBe('open');
  });

  it.each<[string, () => unknown]>([
    ['never settles', () => new Promise<never>(() => {})],
    ['returns nonsense', () => 12_345],
  ])('that %s changes nothing', async (_, report) => {
    const { conn, platform, sent } = wired('server', { report });
    void conn.send({} as never);
    void conn.send('next');
    await platform.settle();
    expect(platform.warnings).toEqual([]);
    expect(sent()).toEqual(['text next']);
  });

  it.each([null, 5, {}])('must be a function, not %j', (report) => {
    const options = { role: 'server', report, platform: new FakePlatform() } as never;
    expect(() => new Conn(new TestTransport(), options)).toThrow('report: expected a function');
  });

  it('of connPair is that of both ends', async () => {
    const wheres: string[] = [];
    const [client, server] = connPair({ report: (_, { where }) => void wheres.push(where) });
    void client.send({} as never);
    void server.ping('x'.repeat(200));
    expect(wheres).toEqual(['send', 'ping']);
    await Promise.all([client.close(), server.discardReads()]);
  });
});
