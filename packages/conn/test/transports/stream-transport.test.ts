import {
  ReadableStream,
  type ReadableStreamDefaultController,
  TransformStream,
  WritableStream,
} from 'node:stream/web';
import { encodeFrame } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { BinaryMessage, Conn, streamTransport, TransportError } from '../../src/index.ts';

type Bytes = TransformStream<Uint8Array, Uint8Array>;

function pair(): [client: Conn, server: Conn] {
  const there: Bytes = new TransformStream();
  const back: Bytes = new TransformStream();
  return [
    new Conn(streamTransport({ readable: back.readable, writable: there.writable }), {
      role: 'client',
    }),
    new Conn(streamTransport({ readable: there.readable, writable: back.writable }), {
      role: 'server',
    }),
  ];
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe('streamTransport', () => {
  it('carries messages in both directions and the closing handshake', async () => {
    const [client, server] = pair();
    const serving = server.receive((message) => server.send(message));
    const large = new Uint8Array(300_000).map((_, i) => i);
    const sent = Promise.all([client.send('hello'), client.send(large)]);
    expect((await client.readMessage()).text()).toBe('hello');
    expect((await client.readMessage()).data).toEqual(large);
    await sent;
    expect(await client.close(4000, 'bye')).toMatchObject({ code: 4000, wasClean: true });
    expect(await server.closed).toMatchObject({ code: 4000, wasClean: true });
    await serving.catch(() => {});
  });

  it('ends the connection when the readable fails', async () => {
    const failure = new Error('broken');
    const readable = new ReadableStream({ start: (controller) => controller.error(failure) });
    const writable = new WritableStream();
    const conn = new Conn(streamTransport({ readable, writable }), { role: 'client' });
    const { code, error } = await conn.closed;
    expect(code).toBe(1006);
    expect(error).toBeInstanceOf(TransportError);
    expect((error as Error).cause).toBe(failure);
  });

  it('ends the connection when the readable fails with an object that is no string', async () => {
    const failure = Object.create(null) as object;
    const readable = new ReadableStream({ start: (controller) => controller.error(failure) });
    const transport = streamTransport({ readable, writable: new WritableStream() });
    const conn = new Conn(transport, { role: 'client' });
    const { error } = await conn.closed;
    expect((error as Error).cause).toMatchObject({ message: 'Object', cause: failure });
  });

  it('has an error for a stream that is aborted without a reason', async () => {
    const [client, server] = pair();
    client.terminate();
    const { error } = await server.closed;
    expect(error).toMatchObject({
      message: 'websocket: a stream was aborted or cancelled without a reason',
    });
  });

  it('ends the connection when the writable fails', async () => {
    const failure = new Error('broken');
    const readable = new ReadableStream();
    const writable = new WritableStream({ write: () => Promise.reject(failure) });
    const transport = streamTransport({ readable, writable });
    // The readable stays open.
    const conn = new Conn(transport, { role: 'client', closeTimeout: 10 });
    void conn.send('x');
    expect((await conn.closed).error).toMatchObject({ cause: failure });
  });

  it('ends the connection for a chunk that is not bytes', async () => {
    const readable = new ReadableStream({ start: (controller) => controller.enqueue('text') });
    const conn = new Conn(streamTransport({ readable, writable: new WritableStream() }), {
      role: 'client',
    });
    const { error } = await conn.closed;
    expect((error as Error).cause).toMatchObject({
      message: 'readable: expected chunks of Uint8Array, got string',
    });
  });

  it('delivers no chunk when a resume is followed by a pause', async () => {
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const readable = new ReadableStream<Uint8Array>({
      start: (given) => void (controller = given),
    });
    const transport = streamTransport({ readable, writable: new WritableStream() });
    const seen: number[] = [];
    transport.start({
      data: (chunk) => void seen.push(chunk[0]!),
      drain() {},
      end() {},
      close() {},
    });
    transport.pause();
    controller.enqueue(Uint8Array.of(1));
    await turn();
    transport.resume();
    transport.pause();
    await turn();
    expect(seen).toEqual([]);
    transport.resume();
    await turn();
    expect(seen).toEqual([1]);
    transport.destroy();
  });

  it.each([
    [undefined, 'expected { readable, writable }, got undefined'],
    [{ readable: new ReadableStream() }, 'writable: expected a WritableStream, got undefined'],
    [{ writable: new WritableStream() }, 'readable: expected a ReadableStream, got undefined'],
  ])('throws for %o', (streams, message) => {
    expect(() => streamTransport(streams as never)).toThrow(message);
  });

  it('lets timers run while its readable is always ready', async () => {
    let timerRan = false;
    let chunks = 0;
    const frame = encodeFrame(BinaryMessage, new Uint8Array(1), { maskKey: 1 });
    const readable = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (timerRan || ++chunks > 1_000) controller.close();
        else controller.enqueue(frame.slice());
      },
    });
    const transport = streamTransport({ readable, writable: new WritableStream() });
    const conn = new Conn(transport, { role: 'server' });
    setImmediate(() => {
      timerRan = true;
    });
    await conn.discardReads().catch(() => {});
    expect(chunks).toBeLessThan(100);
  });

  it('throws for a stream that is in use', () => {
    const readable = new ReadableStream();
    readable.getReader();
    expect(() => streamTransport({ readable, writable: new WritableStream() })).toThrow(TypeError);
  });
});
