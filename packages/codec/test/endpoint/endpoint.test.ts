import {
  BackpressureError,
  Endpoint,
  type EndpointEvent,
  encodeFrame,
  formatCloseMessage,
  ProtocolError,
  parseCloseMessage,
  sharedMessageBuffers,
} from '@ws/codec';
import { hex, naiveDecode } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { cut, join } from '../support.ts';

const MIB = 1024 * 1024;
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A frame of a client. */
function frame(opcode: number, payload: Uint8Array | string = '', fin = true): Uint8Array {
  const bytes = typeof payload === 'string' ? utf8(payload) : payload;
  return encodeFrame(opcode, bytes, { fin, maskKey: 0x37fa213d });
}

const goodbye = (code = 1000, reason = ''): Uint8Array =>
  frame(8, formatCloseMessage(code, reason));

/** What the peer reads: opcodes and payloads. */
function written(endpoint: Endpoint): [opcode: number, payload: string][] {
  const { frames } = naiveDecode(endpoint.output(), 'client');
  return frames.map(({ opcode, payload }) => [opcode, Buffer.from(payload).toString('latin1')]);
}

/** Events in one line each. */
function trace(events: readonly EndpointEvent[]): string[] {
  return events.map((event) => {
    if (event.kind === 'text') return `text ${event.text}`;
    if (event.kind !== 'close') return `${event.kind} ${Buffer.from(event.data).toString('hex')}`;
    return `close ${event.code} '${event.reason}' ${event.wasClean ? 'clean' : 'not clean'}`;
  });
}

const server = (options = {}): Endpoint => new Endpoint({ role: 'server', ...options });

describe('Endpoint', () => {
  it('ends with 1011 and says why when it receives a detached chunk', () => {
    const chunk = frame(1, 'hi');
    structuredClone(chunk.buffer, { transfer: [chunk.buffer as ArrayBuffer] });
    const [event] = new Endpoint({ role: 'server' }).receive(chunk);
    expect(event).toMatchObject({ kind: 'close', code: 1011 });
    expect(event).toHaveProperty('error.message', 'websocket: the chunk was detached');
  });

  it('refuses bytes whose buffer has shrunk', () => {
    const buffer = new (
      ArrayBuffer as unknown as new (
        size: number,
        options: object,
      ) => ArrayBuffer & { resize(size: number): void }
    )(9, { maxByteLength: 9 });
    const bytes = new Uint8Array(buffer, 5, 4);
    buffer.resize(1);
    const endpoint = server();
    expect(() => endpoint.send(bytes)).toThrow(TypeError);
    expect(endpoint.output()).toEqual(new Uint8Array(0));
  });

  it('exchanges messages and closes with another Endpoint', () => {
    const [a, b] = [new Endpoint({ role: 'client' }), server()];
    a.send('grüße');
    a.send(Uint8Array.of(1, 2));
    a.ping('p');
    expect(trace(b.receive(a.output()))).toEqual(['text grüße', 'binary 0102', 'ping 70']);
    b.send(new Uint16Array([1]));
    b.send(new ArrayBuffer(1));
    expect(trace(a.receive(b.output()))).toEqual(['binary 0100', 'binary 00', 'pong 70']);
    a.close(4000, 'done');
    expect([a.state, a.finished]).toEqual(['closing', false]);
    expect(trace(b.receive(a.output()))).toEqual(["close 4000 'done' clean"]);
    expect([b.state, b.finished]).toEqual(['closing', false]);
    expect(trace(a.receive(b.output()))).toEqual(["close 4000 '' clean"]);
    expect([a.state, b.state, a.finished, b.finished]).toEqual(['closed', 'closed', true, true]);
    expect(a.closeInfo).toEqual({ code: 4000, reason: '', wasClean: true });
    expect([a.end(), b.end()]).toEqual([[], []]);
  });

  it.each([1, 3, 100, 5000])('joins fragments in chunks of %d bytes', (size) => {
    const endpoint = server();
    const stream = join([
      frame(1, 'a', false),
      frame(9, 'between'),
      frame(0, utf8('\u20ac').subarray(0, 1), false),
      frame(0, utf8('\u20ac').subarray(1)),
      frame(2, new Uint8Array(70_000)),
      goodbye(1001),
    ]);
    const places = Array.from({ length: Math.ceil(stream.length / size) }, (_, i) => i * size);
    const events = cut(stream, places).flatMap((piece) => endpoint.receive(piece));
    expect(trace(events)).toEqual([
      'ping 6265747765656e',
      'text a\u20ac',
      `binary ${'00'.repeat(70_000)}`,
      "close 1001 '' clean",
    ]);
  });

  it('leaves the chunk unchanged, and keeps none of its memory', () => {
    const endpoint = server();
    const chunk = join([frame(2, 'abc'), frame(2, 'x').subarray(0, 6)]);
    const copy = chunk.slice();
    const [event] = endpoint.receive(chunk);
    expect(chunk).toEqual(copy);
    chunk.fill(0);
    expect(event).toEqual({ kind: 'binary', data: utf8('abc') });
    expect(trace(endpoint.receive(frame(2, 'x').subarray(6)))).toEqual(['binary 78']);
  });

  it.each([100, 1000, 100_000])('leaves a chunk of %d bytes in SIMD memory unchanged', (size) => {
    const sent = join([frame(2, new Uint8Array(size).fill(1)), frame(1, 'x'.repeat(size))]);
    const chunk = sharedMessageBuffers().take(sent.length);
    chunk.set(sent);
    expect(server().receive(chunk.subarray(0, sent.length))).toHaveLength(2);
    expect(Buffer.compare(chunk.subarray(0, sent.length), sent)).toBe(0);
    sharedMessageBuffers().give(chunk);
  });

  it('gives owned bytes, which share no memory', () => {
    const endpoint = server();
    const events = endpoint.receive(join([frame(2, 'abc'), frame(2, 'def'), frame(9, 'g')]));
    const buffers = events.map((event) => 'data' in event && event.data.buffer);
    expect(buffers.map((buffer) => buffer && buffer.byteLength)).toEqual([3, 3, 1]);
    for (const event of events) if ('data' in event) event.data.fill(0);
    expect(written(endpoint)).toEqual([[10, 'g']]);
  });

  it('answers only the newest ping', () => {
    const endpoint = server();
    endpoint.receive(join([frame(9, 'a'), frame(9, 'b')]));
    endpoint.receive(frame(9, 'c'));
    expect(written(endpoint)).toEqual([[10, 'c']]);
    expect(written(endpoint)).toEqual([]);
  });

  it('leaves pongs to its owner with autoPong: false', () => {
    const endpoint = server({ autoPong: false });
    expect(trace(endpoint.receive(frame(9, 'a')))).toEqual(['ping 61']);
    expect(written(endpoint)).toEqual([]);
    expect(endpoint.pong('b')).toBe(true);
    expect(written(endpoint)).toEqual([[10, 'b']]);
  });

  it('sends answers to messages that came with the close frame before its own', () => {
    const endpoint = server();
    for (const event of endpoint.receive(join([frame(1, 'a'), frame(9, 'b'), goodbye()]))) {
      if (event.kind === 'text') expect(endpoint.send(event.text)).toBe(true);
    }
    expect(written(endpoint)).toEqual([
      [1, 'a'],
      [10, 'b'],
      [8, '\x03\xe8'],
    ]);
    expect(endpoint.send('late')).toBe(false);
    expect(endpoint.ping()).toBe(false);
    endpoint.close();
    expect(written(endpoint)).toEqual([]);
  });

  it('sends nothing after its close frame, and still reports what arrives', () => {
    const endpoint = server();
    expect(endpoint.send('before')).toBe(true);
    endpoint.close(4001, 'why');
    endpoint.close(4002);
    expect([endpoint.send('after'), endpoint.ping(), endpoint.pong()]).toEqual([
      false,
      false,
      false,
    ]);
    expect(written(endpoint)).toEqual([
      [1, 'before'],
      [8, '\x0f\xa1why'],
    ]);
    expect(trace(endpoint.receive(join([frame(1, 'late'), frame(9)])))).toEqual([
      'text late',
      'ping ',
    ]);
    expect(written(endpoint)).toEqual([]);
    expect(trace(endpoint.end())).toEqual(["close 1006 '' not clean"]);
    expect(endpoint.state).toBe('closed');
  });

  it('answers an empty close frame with an empty one', () => {
    const endpoint = server();
    expect(trace(endpoint.receive(frame(8)))).toEqual(["close 1005 '' clean"]);
    expect(written(endpoint)).toEqual([[8, '']]);
  });

  it.each<[string, number, readonly Uint8Array[], RegExp]>([
    ['a reserved bit', 1002, [Uint8Array.of(0xc1, 0x80)], /RSV1/],
    ['a frame without a mask', 1002, [hex('81 00')], /MASK/],
    ['a continuation without a message', 1002, [frame(0, 'a')], /continuation/],
    ['a text in a message', 1002, [frame(1, 'a', false), frame(1, 'b')], /data before FIN/],
    ['a bad close code', 1002, [frame(8, Uint8Array.of(0, 1))], /close code 1/],
    ['a close frame of one byte', 1002, [frame(8, 'a')], /one byte/],
    ['a close reason that is not UTF-8', 1007, [frame(8, hex('03 e8 ff'))], /utf8/],
    ['a text that is not UTF-8', 1007, [frame(1, hex('c3 28'))], /UTF-8/],
    ['a text that ends inside a character', 1007, [frame(1, hex('e2 82'))], /UTF-8/],
    ['a large frame', 1009, [frame(2, new Uint8Array(MIB + 1)).subarray(0, 14)], /readLimit/],
    ['a large message', 1009, [frame(2, new Uint8Array(MIB), false), frame(0, 'a')], /readLimit/],
  ])('fails for %s with %d, and reads no more', (_, code, bad, fault) => {
    const endpoint = server();
    const events = endpoint.receive(join([frame(1, 'good'), ...bad, frame(1, 'behind')]));
    expect(trace(events)).toEqual(['text good', `close ${code} '' not clean`]);
    const { error } = endpoint.closeInfo!;
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error!.message).toMatch(fault);
    expect(endpoint.finished).toBe(false);
    const [close, ...more] = naiveDecode(endpoint.output(), 'client').frames;
    expect(parseCloseMessage(close!.payload).code).toBe(code);
    expect(more).toEqual([]);
    expect(endpoint.finished).toBe(true);
    expect(endpoint.receive(frame(1, 'later'))).toEqual([]);
    expect(endpoint.end()).toEqual([]);
    expect(endpoint.output()).toHaveLength(0);
  });

  it.each([
    ['a frame', [frame(2, new Uint8Array(11))]],
    ['fragments', [frame(2, new Uint8Array(10), false), frame(0, 'a')]],
  ])('names its read limit to the application and not to the peer, for %s', (_, bad) => {
    const endpoint = server({ readLimit: 10 });
    endpoint.receive(join(bad));
    expect(endpoint.closeInfo!.error!.message).toBe(
      'websocket: read limit of 10 bytes exceeded by a message of the peer; raise it with the option readLimit',
    );
    expect(written(endpoint)).toEqual([[8, '\x03\xf1']]);
  });

  it('fails at the first bad byte of an incomplete text frame', () => {
    const endpoint = server();
    const text = frame(1, join([utf8('ok'), hex('c3 28'), new Uint8Array(1000)]));
    expect(endpoint.receive(text.subarray(0, 11))).toEqual([]);
    expect(trace(endpoint.receive(text.subarray(11, 12)))).toEqual(["close 1007 '' not clean"]);
  });

  it('accepts a message of exactly readLimit bytes, whole and in fragments', () => {
    const whole = server({ readLimit: 10 });
    expect(whole.receive(frame(1, '0123456789'))).toHaveLength(1);
    const parts = [frame(1, '01234', false), frame(0, '', false), frame(0, '56789')];
    expect(trace(whole.receive(join(parts)))).toEqual(['text 0123456789']);
    expect(trace(whole.receive(join([parts[0]!, frame(0, '567890')])))).toEqual([
      "close 1009 '' not clean",
    ]);
    const unlimited = server({ readLimit: false });
    expect(unlimited.receive(frame(2, new Uint8Array(2 * MIB)))).toHaveLength(1);
  });

  it('has a read limit of 1 MiB as a server and of 16 MiB as a client', () => {
    const header = (length: number): Uint8Array => {
      const bytes = new Uint8Array(10);
      bytes.set([0x82, 127]);
      new DataView(bytes.buffer).setUint32(6, length);
      return bytes;
    };
    const client = (): Endpoint => new Endpoint({ role: 'client' });
    expect(client().receive(header(16 * MIB))).toEqual([]);
    expect(client().receive(header(16 * MIB + 1))).toHaveLength(1);
    const masked = (length: number) => join([header(length).with(1, 255), new Uint8Array(4)]);
    expect(server().receive(masked(MIB))).toEqual([]);
    expect(server().receive(masked(MIB + 1))).toHaveLength(1);
  });

  it('bounds empty fragments in a row', () => {
    const empty = frame(0, '', false);
    const many = Array<Uint8Array>(1_000).fill(empty);
    const endpoint = server();
    expect(endpoint.receive(join([frame(1, '', false), ...many]))).toEqual([]);
    expect(endpoint.receive(join([frame(0, 'a', false), ...many]))).toEqual([]);
    expect(endpoint.receive(join(Array(24).fill(empty)))).toEqual([]);
    expect(trace(endpoint.receive(empty))).toEqual(["close 1008 '' not clean"]);
  });

  it('reserves nothing for an announced length, and holds nothing for each fragment', () => {
    const endpoint = server({ readLimit: 512 * MIB });
    const before = memory();
    const header = hex('02 ff 00 00 00 00 10 00 00 00 00 00 00 00');
    expect(endpoint.receive(join([header, new Uint8Array(1000)]))).toEqual([]);
    expect(memory() - before).toBeLessThan(5 * MIB);
    const chunk = join(Array<Uint8Array>(10_000).fill(frame(0, 'x', false)));
    const many = server();
    many.receive(frame(2, 'x', false));
    for (let i = 0; i < 50; i++) many.receive(chunk);
    expect(memory() - before).toBeLessThan(30 * MIB);
    expect(trace(many.receive(frame(0, 'x')))[0]).toHaveLength('binary '.length + 2 * 500_002);
  });

  it('throws a BackpressureError when too much output waits', () => {
    const endpoint = server({ maxBufferedAmount: 1000 });
    expect(endpoint.send(new Uint8Array(5000))).toBe(true);
    expect(() => endpoint.send('a')).toThrow(BackpressureError);
    expect(() => endpoint.ping()).toThrow(/maxBufferedAmount \(1000\)/);
    expect(endpoint.output()).toHaveLength(5004);
    for (let i = 0; i < 9; i++) endpoint.send('x'.repeat(100));
    expect(() => endpoint.send('\u20ac'.repeat(34))).toThrow(BackpressureError);
    expect(endpoint.send('x'.repeat(82))).toBe(true);
    endpoint.receive(join([frame(9, 'p'), goodbye()]));
    expect(endpoint.output()).toHaveLength(9 * 102 + 84 + 3 + 4);
    const usual = server();
    for (let i = 0; i < 15; i++) usual.send(new Uint8Array(MIB));
    expect(() => usual.send(new Uint8Array(2 * MIB))).toThrow(BackpressureError);
  });

  it('passes output without a copy, in the order of output()', () => {
    const endpoint = server();
    endpoint.send('a'.repeat(100_000));
    endpoint.send('b');
    const chunks: Uint8Array[] = [];
    endpoint.output((chunk, release) => {
      chunks.push(chunk);
      release();
    });
    expect(chunks.length).toBeGreaterThan(1);
    const { frames } = naiveDecode(join(chunks), 'client');
    expect(frames.map(({ payload }) => payload.length)).toEqual([100_000, 1]);
    expect(endpoint.output()).toHaveLength(0);
  });

  it('copies the bytes of send', () => {
    const endpoint = server();
    const data = new Uint8Array(100_000).fill(0x61);
    endpoint.send(data);
    data.fill(0);
    expect(written(endpoint)).toEqual([[2, 'a'.repeat(100_000)]]);
  });

  it('masks with the words of the option random', () => {
    const endpoint = new Endpoint({
      role: 'client',
      random: (words) => void words.fill(0x01020304),
    });
    endpoint.send('hi');
    expect(endpoint.output()).toEqual(hex('81 82 01 02 03 04 69 6b'));
  });

  it('sends no frame when the option random transfers its words away', () => {
    const random = ({ buffer }: Int32Array): void =>
      void structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
    const endpoint = new Endpoint({ role: 'client', random });
    expect(() => endpoint.send('hi')).toThrow('must return an integer of 32 bits');
    expect(endpoint.output()).toHaveLength(0);
  });

  it('refuses a long ping before it is encoded', () => {
    const encode = vi.spyOn(TextEncoder.prototype, 'encode');
    expect(() => server().ping('é'.repeat(1 << 20))).toThrow('at most 125 bytes, got 2097152');
    expect(encode).not.toHaveBeenCalled();
    encode.mockRestore();
  });

  it('returns the bytes after the close frame', () => {
    const endpoint = server();
    expect(endpoint.rest()).toHaveLength(0);
    endpoint.receive(goodbye().subarray(0, 3));
    endpoint.receive(join([goodbye().subarray(3), utf8('next protocol')]));
    expect(endpoint.rest()).toEqual(utf8('next protocol'));
    expect(endpoint.receive(utf8('more'))).toEqual([]);
    expect(endpoint.rest()).toEqual(utf8('next protocol'));
  });

  it('reports 1006 once when the transport ends, and sends nothing more', () => {
    const endpoint = server();
    endpoint.send('waits');
    endpoint.receive(frame(1, 'a', false));
    expect(trace(endpoint.end())).toEqual(["close 1006 '' not clean"]);
    expect(endpoint.end()).toEqual([]);
    expect(endpoint.receive(frame(0, 'b'))).toEqual([]);
    expect([endpoint.state, endpoint.send('x'), endpoint.ping()]).toEqual(['closed', false, false]);
    endpoint.close();
    expect(written(endpoint)).toEqual([[1, 'waits']]);
    expect(endpoint.finished).toBe(true);
  });

  it.each<[string, () => unknown, RegExp]>([
    ['no options', () => new Endpoint(undefined as never), /expected an object/],
    ['a wrong role', () => new Endpoint({ role: 'peer' as never }), /role: expected 'client'/],
    [
      'readlimit',
      () => server({ readlimit: 1 }),
      /unknown option readlimit; did you mean readLimit\?/,
    ],
    [
      'maxPayload',
      () => server({ maxPayload: 1 }),
      /unknown option maxPayload; known options: role/,
    ],
    ['readLimit 0', () => server({ readLimit: 0 }), /readLimit: 0 is not a bound; use false/],
    ['readLimit NaN', () => server({ readLimit: NaN }), /readLimit: expected a whole number/],
    ['a text as readLimit', () => server({ readLimit: '1' }), /readLimit: expected a number/],
    ['autoPong 1', () => server({ autoPong: 1 }), /autoPong: expected true or false, got number/],
    ['random true', () => server({ random: true }), /random: expected a function, got boolean/],
    ['a text as chunk', () => server().receive('x' as never), /chunk must be a Uint8Array/],
    ['an object', () => server().send({} as never), /got Object; JSON.stringify/],
    ['nothing', () => server().send(undefined as never), /got undefined/],
    ['a long ping', () => server().ping('x'.repeat(126)), /at most 125 bytes, got 126/],
    ['code 1006', () => server().close(1006), /close code 1006 must not be sent/],
    ['code 1005', () => server().close(1005), /close code 1005 must not be sent/],
    ['a long reason', () => server().close(1000, 'x'.repeat(124)), /at most 123 bytes/],
    ['a write that is no function', () => server().output(1 as never), /write must be a function/],
  ])('rejects %s', (_, call, message) => {
    expect(call).toThrow(message);
  });

  it('rejects wrong arguments after the end too', () => {
    const endpoint = server();
    endpoint.end();
    expect(() => endpoint.receive('x' as never)).toThrow(TypeError);
    expect(() => endpoint.send(1 as never)).toThrow(TypeError);
    expect(() => endpoint.close(1)).toThrow(RangeError);
  });

  it('never throws for any bytes, and any cut gives the same events', () => {
    const sound = fc.constantFrom(
      frame(1, 'a'),
      frame(1, 'b', false),
      frame(0, 'c', false),
      frame(0, '\u20ac'),
      frame(2, new Uint8Array(300)),
      frame(9, 'p'),
      frame(10),
      goodbye(),
    );
    const noise = fc.uint8Array({ maxLength: 20 });
    const stream = fc.array(fc.oneof({ weight: 4, arbitrary: sound }, noise), { maxLength: 12 });
    fc.assert(
      fc.property(stream, fc.array(fc.nat(400), { maxLength: 6 }), (frames, places) => {
        const bytes = join(frames);
        const read = (pieces: Uint8Array[]): unknown => {
          const endpoint = server({ readLimit: 400 });
          const events = pieces.flatMap((piece) => endpoint.receive(piece));
          return [trace(events), endpoint.output(), trace(endpoint.end())];
        };
        const inside = places.filter((place) => place < bytes.length);
        expect(read(cut(bytes, inside))).toEqual(read([bytes]));
      }),
      { numRuns: 500 },
    );
  });
});

function memory(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

describe('the end of the transport after a close frame', () => {
  it('leaves the answer in the output: half of the transport may be open', () => {
    const endpoint = new Endpoint({ role: 'server' });
    expect(trace(endpoint.receive(goodbye()))).toEqual(["close 1000 '' clean"]);
    expect(endpoint.send('bye')).toBe(true);
    expect(endpoint.end()).toEqual([]);
    expect(written(endpoint).map(([opcode]) => opcode)).toEqual([1, 8]);
    expect([endpoint.finished, endpoint.send('late')]).toEqual([true, false]);
  });
});
