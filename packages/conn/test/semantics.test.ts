// What gorilla/websocket's users may rely on, where no other test says it; and the defaults, one by
// one.
import { ContinuationFrame as codecContinuation } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  type BufferPool,
  CloseCode,
  CloseError,
  CloseMessage,
  ContinuationFrame,
  isCloseError,
  isUnexpectedCloseError,
  JSONError,
  joinMessages,
  PingMessage,
  PongMessage,
  PreparedMessage,
  TextMessage,
  WebSocketError,
  WriteClosedError,
} from '../src/index.ts';
import { rawPair, turns } from './raw-pair.ts';
import { type Wired, wired } from './wired.ts';

const MIB = 1024 * 1024;
const NORMAL = Uint8Array.of(0x03, 0xe8);

async function writerThatIsClosed({ conn }: Wired): Promise<void> {
  const writer = await conn.nextWriter(TextMessage);
  await writer.close();
  await writer.write('late');
}

it('exports ContinuationFrame with the other constants of the codec', () => {
  expect(ContinuationFrame).toBe(codecContinuation);
});

describe('an error message of gorilla/websocket', () => {
  it.each<[string, (wire: Wired) => Promise<unknown>]>([
    ['websocket: bad write message type', ({ conn }) => conn.writeMessage(3, 'x')],
    [
      'websocket: invalid control frame',
      ({ conn }) => conn.writeControl(PingMessage, 'x'.repeat(126)),
    ],
    ['websocket: write timeout', ({ conn }) => conn.writeControl(PingMessage, 'x', Date.now() - 1)],
    ['websocket: write closed', writerThatIsClosed],
  ])('%s: and the connection stays usable', async (words, act) => {
    const wire = wired('server');
    await expect(act(wire)).rejects.toThrow(words);
    await wire.conn.send('goes on');
    await wire.platform.settle();
    expect(wire.sent().at(-1)).toBe('text goes on');
  });

  it('websocket: close sent, for every write after the close frame', async () => {
    const { conn } = wired('server');
    const prepared = new PreparedMessage(TextMessage, 'x');
    const writer = await conn.nextWriter(TextMessage);
    void conn.writeControl(CloseMessage, NORMAL);
    for (const write of [
      () => conn.writeMessage(TextMessage, 'x'),
      () => conn.writeJSON(1),
      () => conn.writePreparedMessage(prepared),
      () => conn.nextWriter(TextMessage),
      () => writer.write('x'),
      () => conn.writeControl(PingMessage),
      () => conn.writeControl(PongMessage),
      () => conn.writeControl(CloseMessage, NORMAL),
      () => conn.ping(),
    ]) {
      await expect(write()).rejects.toThrow('websocket: close sent');
    }
  });

  it.each([
    [1000, 'normal'],
    [1001, 'going away'],
    [1002, 'protocol error'],
    [1003, 'unsupported data'],
    [1005, 'no status'],
    [1006, 'abnormal closure'],
    [1007, 'invalid payload data'],
    [1008, 'policy violation'],
    [1009, 'message too big'],
    [1010, 'mandatory extension missing'],
    [1011, 'internal server error'],
    [1015, 'TLS handshake error'],
  ])('close %d is (%s)', (code, name) => {
    expect(new CloseError(code).message).toBe(`websocket: close ${code} (${name})`);
  });

  it('the close codes equal their numbers', () => {
    const all = Object.values(CloseCode).toSorted((a, b) => a - b);
    expect(all).toEqual([
      1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015,
    ]);
    expect([CloseCode.NormalClosure, CloseCode.InternalServerErr]).toEqual([1000, 1011]);
  });

  it.each([1012, 1013, 3000, 4999])('close %d has no name', (code) => {
    expect(new CloseError(code, 'why').message).toBe(`websocket: close ${code}: why`);
  });

  it('isCloseError and isUnexpectedCloseError do not unwrap errors', () => {
    const wrapped = new Error('x', { cause: new CloseError(1000) });
    expect(isCloseError(wrapped, 1000)).toBe(false);
    expect(isUnexpectedCloseError(wrapped, 1001)).toBe(false);
  });

  it('JSONError and WriteClosedError are WebSocketErrors with a name and a code', () => {
    for (const [error, name, code] of [
      [new JSONError('x', [{ message: 'y' }]), 'JSONError', 'WS_ERR_JSON'],
      [new WriteClosedError(), 'WriteClosedError', 'WS_ERR_WRITE_CLOSED'],
    ] as const) {
      expect(error).toBeInstanceOf(WebSocketError);
      expect(error).toMatchObject({ name, code });
    }
  });
});

describe('writeControl', () => {
  it('checks the type, the size, the deadline and the state, in this order', async () => {
    const { conn } = wired('server');
    const past = Date.now() - 1;
    const long = 'x'.repeat(126);
    void conn.close();
    await expect(conn.writeControl(3, long, past)).rejects.toThrow('bad write message type');
    await expect(conn.writeControl(PingMessage, long, past)).rejects.toThrow(
      'invalid control frame',
    );
    await expect(conn.writeControl(PingMessage, 'x', past)).rejects.toThrow('write timeout');
    await expect(conn.writeControl(PingMessage, 'x')).rejects.toThrow('close sent');
  });
});

describe('nextWriter', () => {
  it('checks the type first, and leaves the open writer unchanged then', async () => {
    const { conn, platform, sent } = wired('server');
    const writer = await conn.nextWriter(TextMessage);
    await expect(conn.nextWriter(99)).rejects.toBeInstanceOf(TypeError);
    await writer.write('still open');
    await writer.close();
    void conn.close();
    await expect(conn.nextWriter(99)).rejects.toBeInstanceOf(TypeError);
    await expect(conn.nextWriter(TextMessage)).rejects.toThrow('close sent');
    await platform.settle();
    expect(sent()[0]).toBe('text still open');
  });

  it('returns a writer that stays closed after close()', async () => {
    const { conn, output } = wired('server');
    const writer = await conn.nextWriter(TextMessage);
    await writer.close();
    for (let i = 0; i < 2; i++) {
      await expect(writer.write('x')).rejects.toBeInstanceOf(WriteClosedError);
      await expect(writer.close()).rejects.toBeInstanceOf(WriteClosedError);
    }
    writer.abort();
    expect(await output()).toEqual(['text']);
    expect(conn.state).toBe('open');
  });

  it('returns its buffer when the connection fails, and rejects with the same error afterwards', async () => {
    let lent = 0;
    const writeBufferPool: BufferPool = {
      get: () => {
        lent++;
        return new Uint8Array(100);
      },
      put: () => void lent--,
    };
    const { conn, platform, transport } = wired('server', {
      writeBufferPool,
      writeBufferSize: 100,
    });
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('x'.repeat(50));
    expect(lent).toBe(1);
    transport.break(new Error('reset'));
    await platform.settle();
    expect(lent).toBe(0);
    const error = await writer.write('y').catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'WS_ERR_TRANSPORT' });
    await expect(writer.write('y')).rejects.toBe(error);
    await expect(writer.close()).rejects.toBe(error);
    await expect(conn.nextWriter(TextMessage)).rejects.toBe(error);
  });

  it('makes a prepared message wait for an open writer', async () => {
    const { conn, output } = wired('server', { writeBufferSize: 2 });
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('abc');
    void conn.writePreparedMessage(new PreparedMessage(BinaryMessage, 'whole'));
    await writer.close();
    expect(await output()).toEqual(['text... ab', 'cont c', 'binary whole']);
  });
});

describe('BufferPool', () => {
  it('may return buffers of any size, which are used unchanged', async () => {
    const buffers = [new Uint8Array(0), new Uint8Array(1), new Uint8Array(5000)];
    const put: number[] = [];
    const writeBufferPool: BufferPool = {
      get: () => buffers.shift(),
      put: (buffer) => void put.push(buffer.length),
    };
    const { conn, platform, sent } = wired('server', { writeBufferPool, writeBufferSize: 100 });
    for (let i = 0; i < 4; i++) {
      await conn.send(`message ${i}`);
      await platform.settle();
    }
    expect(sent()).toEqual([0, 1, 2, 3].map((i) => `text message ${i}`));
    expect(put.toSorted((a, b) => a - b)).toEqual([0, 1, 100, 100, 100, 5000]);
  });
});

describe('the end of a connection without a close frame', () => {
  it.each<[string, (wire: Wired) => Uint8Array]>([
    ['before any byte', () => new Uint8Array(0)],
    ['inside a header', ({ frame }) => frame(1, 'x'.repeat(200)).subarray(0, 3)],
    ['inside a payload', ({ frame }) => frame(1, 'x'.repeat(200)).subarray(0, 50)],
    ['between fragments', ({ frame }) => frame(1, 'part', { fin: false })],
    ['inside a ping', ({ frame }) => frame(9, 'ping').subarray(0, 8)],
  ])('%s is CloseError 1006, unexpected EOF', async (_says, bytes) => {
    const wire = wired('server');
    const read = wire.conn.readMessage();
    wire.feed(bytes(wire));
    wire.transport.feedEnd();
    await expect(read).rejects.toEqual(new CloseError(1006, 'unexpected EOF'));
  });
});

describe('a read', () => {
  it('rejects the same way at each retry after a failure', async () => {
    const { conn, feed, frame } = wired('server');
    feed(frame(8, NORMAL));
    const error = await conn.readMessage().catch((e: unknown) => e);
    for (let i = 0; i < 2_000; i++) {
      expect(await conn.nextReader().catch((e: unknown) => e)).toBe(error);
    }
  });

  it('applies the limit to each message separately, and to no control frame', async () => {
    const { conn, feed, frame } = wired('server', { readLimit: 1_000 });
    const half = Buffer.alloc(500);
    const next = conn.nextReader();
    feed(frame(2, half, { fin: false }));
    await next;
    const second = conn.nextReader();
    feed(frame(9, Buffer.alloc(125)), frame(0, half), frame(2, half, { fin: false }));
    feed(frame(9, Buffer.alloc(125)), frame(0, half));
    expect((await (await second).bytes()).length).toBe(1_000);
  });

  it('continues as long as a pong handler moves the deadline', async () => {
    const { conn, platform, feed, frame } = wired('server');
    const extend = (): void => conn.setReadDeadline(Date.now() + 5_000);
    conn.setPongHandler(extend);
    extend();
    const read = conn.readMessage();
    for (let i = 0; i < 10; i++) {
      await platform.advance(3_000);
      feed(frame(10));
    }
    await platform.advance(3_000);
    feed(frame(1, 'alive'));
    expect((await read).text()).toBe('alive');
  });

  it.each(['', ' \n\t'])('reports %j, read as JSON, as an unexpected EOF', async (text) => {
    const { conn, feed, frame } = wired('server');
    feed(frame(1, text));
    await expect(conn.readJSON()).rejects.toThrow('unexpected EOF');
  });

  it('by joinMessages adds no bytes for an empty terminator', async () => {
    const { conn, peer } = rawPair('server');
    peer.send(1, 'a');
    peer.send(1, '');
    peer.send(2, 'b');
    peer.close(1001);
    const all: Uint8Array[] = [];
    const joined = (async () => {
      for await (const piece of joinMessages(conn)) all.push(piece);
    })();
    await expect(joined).rejects.toMatchObject({ closeCode: 1001 });
    expect(Buffer.concat(all).toString()).toBe('ab');
  });
});

describe('the end of a connection', () => {
  it('starts at the server: the client ends its stream afterwards', async () => {
    const server = rawPair('server');
    server.peer.close(1000);
    await server.peer.until((peer) => peer.ended);
    server.peer.end();
    expect(await server.conn.closed).toMatchObject({ wasClean: true });

    const client = rawPair('client');
    client.peer.close(1000);
    await client.peer.sees(1);
    await turns();
    expect(client.peer.ended).toBe(false);
    client.peer.end();
    await client.peer.until((peer) => peer.ended);
    expect(await client.conn.closed).toMatchObject({ wasClean: true });
  });

  it('after a close reason that is not UTF-8 has code 1007', async () => {
    const { conn, peer } = rawPair('server');
    const read = conn.readMessage();
    peer.send(8, Uint8Array.of(0x03, 0xe8, 0xff));
    await expect(read).rejects.toMatchObject({ closeCode: 1007, code: 'WS_ERR_INVALID_UTF8' });
    expect((await peer.sees(1))[0]).toMatch(/^close 1007/);
  });

  it('after a fault drops input for at most closeTimeout, and at most 1 MiB of it', async () => {
    for (const floods of [false, true]) {
      const { conn, platform, transport } = wired('server');
      transport.feed(Uint8Array.of(0x83, 0x80));
      await platform.settle();
      expect(transport.ended).toBe(true);
      for (let i = 0; i < 11; i++) transport.feed(new Uint8Array(floods ? 100_000 : 1_000));
      await platform.settle();
      expect(conn.state).toBe(floods ? 'closed' : 'closing');
      await platform.advance(5_100);
      expect(await conn.closed).toMatchObject({ code: 1002, wasClean: false });
    }
  });
});

describe('a write', () => {
  it('below the high-water mark returns one shared promise: it allocates no other', async () => {
    const { conn } = wired('server');
    const first = conn.send('a');
    expect(conn.send(Uint8Array.of(1))).toBe(first);
    expect(conn.writeJSON({})).toBe(first);
    await first;
  });
});

describe('the default of', () => {
  it.each([
    ['server', MIB],
    ['client', 16 * MIB],
  ] as const)('readLimit on a %s is %d bytes', async (role, limit) => {
    for (const length of [limit, limit + 1]) {
      const { conn, platform, transport } = wired(role);
      const read = conn.readMessage();
      const header = Buffer.of(0x82, role === 'server' ? 0xff : 0x7f, 0, 0, 0, 0, 0, 0, 0, 0);
      header.writeUInt32BE(length, 6);
      transport.feed(header);
      await platform.settle();
      if (length === limit) expect(conn.state).toBe('open');
      else await expect(read).rejects.toMatchObject({ code: 'WS_ERR_READ_LIMIT', limit });
    }
  });

  it('the bound of empty fragments in a row is 1,024', async () => {
    for (const count of [1_024, 1_025]) {
      const { conn, feed, frame, deliver } = wired('server');
      const read = conn.readMessage();
      feed(frame(2, 'a', { fin: false }));
      await deliver(...Array.from({ length: count }, () => frame(0, '', { fin: false })));
      if (count === 1_024) expect(conn.state).toBe('open');
      else await expect(read).rejects.toMatchObject({ closeCode: 1008 });
    }
  });

  it('readAhead is 64 KiB, and of idleReadTimeout five minutes', async () => {
    const { conn, platform, transport, frame, deliver } = wired('server');
    await deliver(frame(2, new Uint8Array(60_000)));
    expect(transport.paused).toBe(false);
    await deliver(frame(2, new Uint8Array(6_000)));
    expect(transport.paused).toBe(true);
    await platform.advance(299_000);
    expect(conn.state).toBe('open');
    await platform.advance(2_000);
    expect(await conn.closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TIMEOUT' } });
  });

  it('highWaterMark is 64 KiB, and of maxBufferedAmount 16 MiB', async () => {
    const { conn, platform, transport } = wired('server');
    transport.block();
    const first = conn.send('going');
    await platform.settle();
    for (let i = 0; i < 2; i++) expect(conn.send(new Uint8Array(30_000))).toBe(first);
    expect(conn.send(new Uint8Array(6_000))).not.toBe(first);
    for (let i = 0; i < 15; i++) void conn.send(new Uint8Array(MIB));
    expect(conn.bufferedAmount).toBeGreaterThan(15 * MIB);
    await expect(conn.send(new Uint8Array(MIB))).rejects.toMatchObject({
      code: 'WS_ERR_BACKPRESSURE',
    });
  });

  it('closeTimeout is 5 s', async () => {
    const { conn, platform } = wired('server');
    void conn.close();
    await platform.advance(4_900);
    expect(conn.state).toBe('closing');
    await platform.advance(200);
    expect(conn.state).toBe('closed');
  });

  it('the bound of unanswered pings is 64', async () => {
    const { conn } = wired('server');
    for (let i = 0; i < 64; i++) void conn.ping();
    await expect(conn.ping()).rejects.toMatchObject({ code: 'WS_ERR_BACKPRESSURE' });
  });

  it.each(['server', 'client'] as const)('writeBufferSize on a %s is 4,096', async (role) => {
    const { conn, platform, sent } = wired(role);
    for (const size of [4_096, 4_097]) {
      const writer = await conn.nextWriter(BinaryMessage);
      await writer.write(new Uint8Array(size));
      await writer.close();
    }
    await platform.settle();
    expect(sent().map((frame) => frame.replace('\0', '0'))).toEqual([
      'binary <4096>',
      'binary... <4096>',
      'cont 0',
    ]);
  });
});
