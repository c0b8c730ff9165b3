import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  BackpressureError,
  CloseError,
  type Conn,
  connPair,
  type OwnedBytes,
  TextMessage,
} from '../../src/index.ts';

async function all<T>(stream: ReadableStream<T>): Promise<T[]> {
  const chunks: T[] = [];
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return chunks;
    chunks.push(value);
  }
}

describe('Conn.toStreams', () => {
  it('has messages as chunks, in both directions', async () => {
    const [client, server] = connPair();
    const { readable, writable } = server.toStreams();
    expectTypeOf(readable).toEqualTypeOf<ReadableStream<string | OwnedBytes>>();
    expectTypeOf(writable).toEqualTypeOf<WritableStream<string | Uint8Array>>();
    const echoing = readable.pipeTo(writable).catch((error: unknown) => error);
    await client.send('text');
    await client.send(Uint8Array.of(1, 2));
    const got = [await client.readMessage(), await client.readMessage()];
    expect(got.map(({ isText }) => isText)).toEqual([true, false]);
    expect(got[0]!.text()).toBe('text');
    expect([...got[1]!.data]).toEqual([1, 2]);
    expect(await client.close()).toMatchObject({ code: 1000, wasClean: true });
    await echoing;
  });

  it('ends the readable with a normal close, and fails it with another one', async () => {
    for (const code of [1000, 4000]) {
      const [client, server] = connPair();
      const chunks = all(server.toStreams().readable);
      await client.send('one');
      void client.close(code);
      if (code === 1000) expect(await chunks).toEqual(['one']);
      else await expect(chunks).rejects.toBeInstanceOf(CloseError);
    }
  });

  it('reads only what is asked for', async () => {
    const [client, server] = connPair({ readAhead: 1_000 });
    const { readable } = server.toStreams();
    let sent = 0;
    const sending = (async () => {
      for (; sent < 1_000; sent++) await client.send(new Uint8Array(10_000));
    })().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 20));
    const before = sent;
    expect(before).toBeLessThan(100);
    const reader = readable.getReader();
    for (let i = 0; i < 20; i++) expect((await reader.read()).value).toHaveLength(10_000);
    client.terminate();
    await sending;
  });

  it.each<[string, (conn: Conn) => Promise<unknown>, number]>([
    ['a cancelled readable closes', (conn) => conn.toStreams().readable.cancel(), 1000],
    ['a closed writable closes', (conn) => conn.toStreams().writable.close(), 1000],
    ['an aborted writable terminates', (conn) => conn.toStreams().writable.abort(), 1006],
  ])('%s the connection', async (_says, end, code) => {
    const [client, server] = connPair();
    void client.discardReads().catch(() => {});
    await end(server);
    expect((await client.closed).code).toBe(code);
  });

  it('fails the writable for a chunk that cannot be sent, and closes with 1011', async () => {
    const [client, server] = connPair({ report: () => {} });
    const writer = server.toStreams().writable.getWriter();
    await expect(writer.write(5 as unknown as string)).rejects.toThrow(TypeError);
    await expect(writer.closed).rejects.toThrow(TypeError);
    void server.discardReads();
    expect((await client.closed).code).toBe(1011);
  });

  it('closes with 1013 when a chunk finds no room', async () => {
    const [client, server] = connPair({ maxBufferedAmount: 1_000, highWaterMark: 1, readAhead: 1 });
    const full = Array.from({ length: 5 }, () => server.send('x'.repeat(900)).catch(() => {}));
    const writer = server.toStreams().writable.getWriter();
    writer.closed.catch(() => {});
    await expect(writer.write('x'.repeat(900))).rejects.toThrow(BackpressureError);
    void client.discardReads().catch(() => {});
    void server.discardReads().catch(() => {});
    await Promise.all(full);
    expect((await client.closed).code).toBe(1013);
  });

  it('closes with 1013 when a piece of a MessageWriter finds no room', async () => {
    const [client, server] = connPair({ maxBufferedAmount: 1_000, highWaterMark: 1, readAhead: 1 });
    const writer = await server.nextWriter(TextMessage);
    const writes = Array.from({ length: 5 }, () => writer.write('x'.repeat(200_000)));
    void client.discardReads().catch(() => {});
    void server.discardReads().catch(() => {});
    const results = await Promise.allSettled(writes);
    expect(results.some(({ status }) => status === 'rejected')).toBe(true);
    expect((await client.closed).code).toBe(1013);
  });

  it.each<[string, (peer: Conn) => unknown, string, number]>([
    ['never answers', () => {}, 'within 50 ms', 50],
    ['ends without a close frame', (peer) => peer.terminate(), '1006', 60_000],
    ['closes with an error', (peer) => peer.close(1011, 'disk full'), 'disk full', 60_000],
  ])('fails the close of the writable when the peer %s', async (_, act, says, closeTimeout) => {
    const [client, server] = connPair({ client: { closeTimeout } });
    const source = new ReadableStream<string>({
      start(controller) {
        controller.enqueue('all');
        controller.close();
      },
    });
    const uploading = source.pipeTo(client.toStreams().writable);
    uploading.catch(() => {});
    expect(await server.nextReader()).toBeDefined();
    act(server);
    await expect(uploading).rejects.toThrow(says);
    server.terminate();
  });
});
