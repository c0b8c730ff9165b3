import { BinaryMessage } from '@ws/codec';
import { naiveEncode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Conn, streamTransport } from '../../src/index.ts';

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
