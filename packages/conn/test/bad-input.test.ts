import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  broadcast,
  joinMessages,
  PreparedMessage,
  TextMessage,
} from '../src/index.ts';
import { type Wired, wired } from './wired.ts';

/** An array whose bytes were transferred to another thread. */
function detached(size = 10): Uint8Array {
  const bytes = new Uint8Array(size);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return bytes;
}

const NO_DATA = [undefined, null, 5, Number.NaN, true, [1, 2], {}, () => {}, Symbol('x'), 5n];

/** The connection is as it was, and nothing has been sent. */
async function expectUntouched({ conn, platform, transport, sent }: Wired): Promise<void> {
  await platform.settle();
  expect(transport.writes).toEqual([]);
  expect(conn.state).toBe('open');
  expect(conn.bufferedAmount).toBe(0);
  await conn.send('goes on');
  await platform.settle();
  expect(sent()).toEqual(['text goes on']);
}

describe('a transport', () => {
  it.each([undefined, null, 'text', 5])('never gets an error for a chunk that is %s', (chunk) => {
    const { transport } = wired('server');
    transport.sink!.data(chunk as never);
  });
});

describe('an unknown option', () => {
  it.each<[string, string, (wire: Wired, options: never) => Promise<unknown>]>([
    ['readMessage', 'did you mean timeout?', ({ conn }, options) => conn.readMessage(options)],
    ['readJSON', 'did you mean timeout?', ({ conn }, options) => conn.readJSON(options)],
    ['nextReader', 'did you mean timeout?', ({ conn }, options) => conn.nextReader(options)],
    [
      'writeMessage',
      'known options: compress, signal',
      ({ conn }, options) => conn.writeMessage(1, 'x', options),
    ],
    ['send', 'known options: compress, signal', ({ conn }, options) => conn.send('x', options)],
    [
      'writeJSON',
      'known options: compress, signal',
      ({ conn }, options) => conn.writeJSON({}, options),
    ],
    [
      'nextWriter',
      'known options: queue, compress',
      ({ conn }, options) => conn.nextWriter(1, options),
    ],
    ['ping', 'did you mean timeout?', ({ conn }, options) => conn.ping('x', options)],
    ['close', 'did you mean timeout?', ({ conn }, options) => conn.close(1000, '', options)],
  ])('of %s rejects with a TypeError that names it', async (name, cure, call) => {
    const wire = wired('server');
    const error = await call(wire, { timeOut: 5 } as never).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toBe(`${name}: unknown option timeOut; ${cure}`);
    await expectUntouched(wire);
  });

  it.each<[string, (wire: Wired, options: never) => Promise<unknown>]>([
    ['readMessage', ({ conn }, options) => conn.readMessage(options)],
    ['send', ({ conn }, options) => conn.send('x', options)],
    ['ping', ({ conn }, options) => conn.ping('x', options)],
    ['close', ({ conn }, options) => conn.close(1000, '', options)],
  ])('of %s is also a signal without its name', async (_, call) => {
    const wire = wired('server');
    const { signal } = new AbortController();
    await expect(call(wire, signal as never)).rejects.toThrow(
      'expected options, got AbortSignal; write { signal }',
    );
    await expectUntouched(wire);
  });

  it('of broadcast throws', () => {
    expect(() => broadcast([], 'x', { exept: undefined, filtr: () => true } as never)).toThrow(
      'broadcast: unknown option filtr; did you mean filter?',
    );
  });

  it.each([
    ['heartbeat', { intervall: 5 }, 'did you mean interval?'],
    ['compression', { treshold: 5 }, 'did you mean threshold?'],
  ])('of %s throws', (name, value, cure) => {
    const unknown = Object.keys(value)[0];
    expect(() => wired('server', { [name]: value })).toThrow(
      `${name}: unknown option ${unknown}; ${cure}`,
    );
  });
});

describe('an option of another type', () => {
  it.each([
    ['writeBufferPool', { get() {} }, 'an object with get() and put(), got Object'],
    ['report', 'console', 'a function, got string'],
    ['heartbeat', 'on', 'false or { interval, timeout }, got string'],
  ])('throws: %s', (name, value, expected) => {
    expect(() => wired('server', { [name]: value })).toThrow(`${name}: expected ${expected}`);
  });
});

describe('MessageWriter.write', () => {
  it.each(NO_DATA)('rejects %s, and the message continues', async (data) => {
    const { conn, output } = wired('server');
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('one ');
    await expect(writer.write(data as never)).rejects.toBeInstanceOf(TypeError);
    await writer.write('two');
    await writer.close();
    expect(await output()).toEqual(['text one two']);
  });

  it('rejects detached bytes, as an array, a view or a buffer', async () => {
    const { conn, output } = wired('server');
    const writer = await conn.nextWriter(BinaryMessage);
    const bytes = detached();
    await expect(writer.write(bytes)).rejects.toThrow('detached');
    await expect(writer.write(bytes.buffer)).rejects.toThrow('detached');
    await writer.write(new Uint8Array(0));
    await writer.close();
    expect(await output()).toEqual(['binary']);
  });

  it('aborts the message when its bytes are detached during the wait', async () => {
    for (const closed of [false, true]) {
      const { conn, platform, sent, block, drain } = wired('server', {
        writeBufferSize: 8,
        highWaterMark: 1,
      });
      await block('in the way');
      const writer = await conn.nextWriter(BinaryMessage);
      const bytes = new Uint8Array(40_000).fill(0x61);
      const written = writer.write(bytes);
      const end = closed ? writer.close() : undefined;
      await platform.settle();
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
      for (let i = 0; i < 3; i++) {
        await drain();
      }
      await expect(written).rejects.toThrow('detached');
      if (closed) await expect(end).rejects.toThrow('detached');
      // What has left of it is not passed off as a message.
      expect(sent()).toEqual(['text in the way', 'binary... aaaaaaaa', 'close 1011']);
    }
  });

  it('accepts bytes of a SharedArrayBuffer, also more than a fragment', async () => {
    for (const role of ['server', 'client'] as const) {
      const { conn, output } = wired(role, { writeBufferSize: 8 });
      const shared = new SharedArrayBuffer(10);
      new Uint8Array(shared).fill(0x61);
      const writer = await conn.nextWriter(BinaryMessage);
      await writer.write(shared);
      await writer.write(new Uint8Array(shared, 0, 2));
      await writer.close();
      new Uint8Array(shared).fill(0x62);
      expect(await output()).toEqual(['binary... aaaaaaaa', 'cont aaaa']);
    }
  });

  it('joins a surrogate pair of two writes, and sends a lone surrogate as U+FFFD', async () => {
    const { conn, output } = wired('server');
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('a\ud83d');
    await writer.write('\ude00b\ude00');
    await writer.close();
    expect(await output()).toEqual(['text a😀b\ufffd']);
  });

  it('fails a piped stream at a chunk of an invalid type', async () => {
    const { conn, platform } = wired('server');
    const writer = await conn.nextWriter(TextMessage);
    const to = writer.writable().getWriter();
    to.closed.catch(() => {});
    await to.write('x');
    await expect(to.write(5 as never)).rejects.toBeInstanceOf(TypeError);
    await expect(to.write('y')).rejects.toBeInstanceOf(TypeError);
    writer.abort();
    await platform.settle();
    expect(conn.state).toBe('open');
  });
});

describe('MessageReader.read', () => {
  it.each([undefined, null, 5, 'x', [], {}, new ArrayBuffer(5), new DataView(new ArrayBuffer(5))])(
    'rejects %s, and loses no bytes',
    async (into) => {
      const { conn, feed, frame } = wired('server');
      feed(frame(2, 'kept'));
      const reader = await conn.nextReader();
      await expect(reader.read(into as never)).rejects.toBeInstanceOf(TypeError);
      await expect(reader.read(detached())).rejects.toBeInstanceOf(RangeError);
      expect(await reader.text()).toBe('kept');
    },
  );

  it('reads into shared memory', async () => {
    const { conn, feed, frame } = wired('server');
    feed(frame(2, 'shared'));
    const into = new Uint8Array(new SharedArrayBuffer(10));
    expect(await (await conn.nextReader()).read(into)).toBe(6);
    expect(Buffer.from(Uint8Array.from(into)).toString('latin1', 0, 6)).toBe('shared');
  });

  it('loses no bytes when the array is detached before they arrive', async () => {
    const { conn, feed, frame, platform } = wired('server');
    feed(frame(2, '', { fin: false }));
    const reader = await conn.nextReader();
    const into = new Uint8Array(10);
    const reading = reader.read(into);
    structuredClone(into.buffer, { transfer: [into.buffer] });
    await platform.settle();
    feed(frame(0, 'kept'));
    await expect(reading).rejects.toBeInstanceOf(RangeError);
    expect(await reader.text()).toBe('kept');
  });

  it('rejects each kind of argument while another read is pending', async () => {
    const { conn, feed, frame } = wired('server');
    feed(frame(2, '', { fin: false }));
    const reader = await conn.nextReader();
    const pending = reader.read(new Uint8Array(5));
    const clash = { code: 'WS_ERR_READ_PENDING' };
    await expect(reader.bytes()).rejects.toMatchObject(clash);
    await expect(reader.text()).rejects.toMatchObject(clash);
    await expect(reader.json()).rejects.toMatchObject(clash);
    await expect(reader[Symbol.asyncIterator]().next()).rejects.toMatchObject(clash);
    await expect(reader.readable().getReader().read()).rejects.toMatchObject(clash);
    await expect(conn.readJSON()).rejects.toMatchObject(clash);
    await expect(conn.discardReads()).rejects.toMatchObject(clash);
    feed(frame(0, 'x'));
    expect(await pending).toBe(1);
  });
});

describe('a read whose array was transferred after bytes had arrived in it', () => {
  it.each([false, true])('ends the message, which lacks them: whole %s', async (isWhole) => {
    const { conn, platform, feed, frame, stream } = wired('server');
    const reader = await stream(frame(2, 'first', { fin: false }));
    await reader.read(new Uint8Array(10));
    const into = new Uint8Array(10);
    const read = reader.read(into);
    await platform.settle();
    feed(frame(0, 'lost', { fin: isWhole }));
    structuredClone(into.buffer, { transfer: [into.buffer] });
    await expect(read).rejects.toThrow(/detached while it waited/);
    if (!isWhole) feed(frame(0, 'rest'));
    feed(frame(1, 'next'));
    await expect(reader.read(new Uint8Array(10))).rejects.toThrow(
      /rest of this message was dropped/,
    );
    expect((await conn.readMessage()).text()).toBe('next');
  });
});

describe.each(['readMessage', 'readJSON', 'nextReader', 'ping'] as const)('%s', (method) => {
  it.each([-1, 0, 0.5, Number.NaN, 2 ** 31, 1e9 * 5, Infinity, '5'])(
    'rejects a timeout of %s',
    async (timeout) => {
      const { conn, feed, frame, output } = wired('server');
      const options = { timeout: timeout as never };
      const call = method === 'ping' ? conn.ping('x', options) : conn[method](options);
      await expect(call).rejects.toThrow('timeout: expected');
      expect(await output()).toEqual([]);
      feed(frame(1, '"kept"'));
      expect(await conn.readJSON()).toBe('kept');
    },
  );
});

describe('writeJSON', () => {
  it('escapes lone surrogates, as JSON does', async () => {
    const { conn, output } = wired('server');
    await conn.writeJSON('a\ud83d');
    expect(await output()).toEqual(['text "a\\ud83d"']);
  });
});

describe('PreparedMessage', () => {
  it.each(NO_DATA)('rejects %s as data', (data) => {
    expect(() => new PreparedMessage(TextMessage, data as never)).toThrow(TypeError);
  });

  it.each([undefined, null, Number.NaN, -1, 0, 3, 2 ** 40, 'text'])(
    'rejects the type %s',
    (type) => {
      expect(() => new PreparedMessage(type as never, 'x')).toThrow(TypeError);
    },
  );

  it('rejects detached bytes and accepts shared ones', async () => {
    expect(() => new PreparedMessage(BinaryMessage, detached())).toThrow('detached');
    const shared = new Uint8Array(new SharedArrayBuffer(3)).fill(0x61);
    const message = new PreparedMessage(BinaryMessage, shared);
    shared.fill(0x62);
    const { conn, output } = wired('client');
    await conn.writePreparedMessage(message);
    await conn.writePreparedMessage(new PreparedMessage(TextMessage, '\ud83d!'));
    expect(await output()).toEqual(['binary aaa', 'text \ufffd!']);
  });

  it.each([undefined, null, 'x', {}, { type: 1, bytes: new Uint8Array(1) }, new Uint8Array(1)])(
    'is required where %s is passed',
    async (message) => {
      const ours = wired('server');
      const written = ours.conn.writePreparedMessage(message as never);
      await expect(written).rejects.toBeInstanceOf(TypeError);
      await expectUntouched(ours);
    },
  );
});

describe('broadcast', () => {
  it.each(NO_DATA)('rejects %s before it sends any frame', async (data) => {
    const ours = wired('server');
    expect(() => broadcast([ours.conn], data as never)).toThrow(TypeError);
    await expectUntouched(ours);
  });

  it('rejects detached bytes and values that are no Conn before it sends any frame', async () => {
    const ours = wired('server');
    const { conn } = ours;
    expect(() => broadcast([conn], detached())).toThrow('detached');
    expect(() => broadcast([conn, {} as never], 'x')).toThrow(TypeError);
    expect(() => broadcast([conn, null as never], 'x')).toThrow(TypeError);
    for (const conns of [null, undefined, 5, {}]) {
      expect(() => broadcast(conns as never, 'x')).toThrow(TypeError);
    }
    for (const except of [5, null, 'x']) {
      expect(() => broadcast([conn], 'x', { except: except as never })).toThrow(TypeError);
    }
    expect(() => broadcast([conn], 'x', { filter: true as never })).toThrow(
      'filter: expected a function, got boolean',
    );
    const failure = new Error('filter');
    const filter = (): never => {
      throw failure;
    };
    expect(() => broadcast([conn], 'x', { filter })).toThrow(failure);
    await expectUntouched(ours);
  });
});

describe('joinMessages', () => {
  it.each([5, null, {}, Uint8Array.of(1)])('rejects %s as the terminator', async (term) => {
    const ours = wired('server');
    expect(() => joinMessages(ours.conn, term as never)).toThrow(TypeError);
    await expectUntouched(ours);
  });
});
