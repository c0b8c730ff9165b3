import { BinaryMessage } from '@ws/codec';
import { FakePlatform, naiveEncode, RecordingSink } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Conn, type ConnOptions, streamTransport } from '../../src/index.ts';

const CLOSE = Uint8Array.of(0x03, 0xe8);

/** A client whose peer has sent ten messages and a close frame, and whose writable fails at once. */
function stopped(when: 'before' | 'at a write', ends = true): { conn: Conn; texts: string[] } {
  const chunks = Array.from({ length: 10 }, (_, i) =>
    naiveEncode(BinaryMessage, Buffer.from(`message ${i}`)),
  );
  if (ends) chunks.push(naiveEncode(8, CLOSE));
  const readable = new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = chunks.shift();
      if (chunk !== undefined) controller.enqueue(chunk);
      else if (ends) controller.close();
    },
  });
  const writable = new WritableStream<Uint8Array>({
    start(controller) {
      if (when === 'before') controller.error(new Error('STOP_SENDING'));
    },
    write() {
      throw new Error('STOP_SENDING');
    },
  });
  const transport = streamTransport({ readable, writable });
  return { conn: new Conn(transport, { role: 'client', heartbeat: false }), texts: [] };
}

describe('C6 a readable after an error of the writable', () => {
  it.each(['before', 'at a write'] as const)(
    'is read to its end, when it fails %s',
    async (when) => {
      const { conn, texts } = stopped(when);
      if (when === 'at a write') void conn.send('dropped').catch(() => {});
      const reading = (async () => {
        for await (const message of conn) {
          texts.push(message.text());
          await new Promise((resolve) => void setImmediate(resolve));
          void conn.send('an answer that no code reads').catch(() => {});
        }
      })();
      const info = await conn.closed;
      await reading.catch(() => {});
      expect(texts).toEqual(Array.from({ length: 10 }, (_, i) => `message ${i}`));
      expect(info.code).toBe(1000);
      expect(info.wasClean).toBe(false);
      expect(String(info.error)).toContain('STOP_SENDING');
    },
  );

  it('rejects a large write, and tells no success', async () => {
    const { conn } = stopped('before');
    const large = conn.send(new Uint8Array(100_000));
    void conn.discardReads().catch(() => {});
    expect((await conn.closed).wasClean).toBe(false);
    await large.catch(() => {});
    await expect(conn.send('later')).rejects.toThrow();
  });
});

describe('C6 a sink without writesFailed', () => {
  it('gets the close at once, as nothing else would end the reads of an endless peer', async () => {
    const readable = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(Uint8Array.of(1));
      },
    });
    const writable = new WritableStream<Uint8Array>({
      write() {
        throw new Error('STOP_SENDING');
      },
    });
    const transport = streamTransport({ readable, writable });
    const sink = new RecordingSink();
    transport.start(sink);
    await sink.until('data');
    transport.write(Uint8Array.of(2));
    await sink.until('close');
    expect(sink.error?.message).toBe('STOP_SENDING');
  });
});

/** A client of {@link stopped} with a fake clock, whose read-ahead holds one message. */
function slow(count: number, options: Partial<ConnOptions> = {}, ends = true) {
  const platform = new FakePlatform();
  const chunks = Array.from({ length: count }, (_, i) =>
    naiveEncode(BinaryMessage, Buffer.from(`message ${i}`)),
  );
  if (ends) chunks.push(naiveEncode(8, CLOSE));
  let isCancelled = false;
  const readable = new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = chunks.shift();
      if (chunk !== undefined) controller.enqueue(chunk);
      else if (ends) controller.close();
      else return new Promise(() => {});
    },
    cancel() {
      isCancelled = true;
    },
  });
  const writable = new WritableStream<Uint8Array>({
    start(controller) {
      controller.error(new Error('STOP_SENDING'));
    },
  });
  const transport = streamTransport({ readable, writable });
  const conn = new Conn(transport, { role: 'client', readAhead: 1, platform, ...options });
  return { conn, platform, unread: chunks, isCancelled: () => isCancelled };
}

const HEARTBEATS = [
  ['without a heartbeat', false],
  ['with the default heartbeat', undefined],
  ['with a fast heartbeat', { interval: 1_000, timeout: 1_000 }],
] as const;

describe.each(HEARTBEATS)('C6 a reader after an error of the writable, %s', (_, heartbeat) => {
  it.each(['readMessage', 'receive', 'for await'])(
    'gets every message when it takes one each 3 s: %s',
    async (way) => {
      const { conn, platform } = slow(40, { heartbeat });
      const texts: string[] = [];
      const handle = async (message: { text(): string }): Promise<void> => {
        texts.push(message.text());
        await new Promise<void>((resolve) => void platform.setTimer(3_000, resolve));
      };
      const read = async (): Promise<void> => {
        if (way === 'receive') await conn.receive(handle);
        else if (way === 'for await') for await (const message of conn) await handle(message);
        else for (;;) await handle(await conn.readMessage());
      };
      const reading = read().catch(() => {});
      await platform.advance(150_000);
      await reading;
      expect(texts).toEqual(Array.from({ length: 40 }, (_, i) => `message ${i}`));
      expect(await conn.closed).toMatchObject({ code: 1000, wasClean: false });
      expect(platform.timers).toBe(0);
    },
  );

  it.each(['receive', 'readMessage'])('ends when it stalls: %s', async (way) => {
    const { conn, platform, unread, isCancelled } = slow(40, { heartbeat });
    if (way === 'receive') void conn.receive(() => new Promise(() => {})).catch(() => {});
    else await conn.readMessage();
    await platform.advance(4_900);
    expect(conn.state).toBe('open');
    await platform.advance(5_500);
    expect([conn.state, isCancelled()]).toEqual(['closed', true]);
    expect(unread.length).toBeGreaterThan(30);
    expect(String((await conn.closed).error)).toContain('STOP_SENDING');
  });

  it('ends when the peer sends nothing more', async () => {
    const { conn, platform, isCancelled } = slow(3, { heartbeat, closeTimeout: 1_000 }, false);
    const texts: string[] = [];
    conn.receive((message) => void texts.push(message.text())).catch(() => {});
    await platform.advance(900);
    expect([texts.length, conn.state]).toEqual([3, 'open']);
    await platform.advance(1_300);
    expect([conn.state, isCancelled()]).toEqual(['closed', true]);
    expect(String((await conn.closed).error)).toContain('STOP_SENDING');
  });
});
