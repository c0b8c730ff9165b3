import { describe, expect, it } from 'vitest';
import { type Conn, PingMessage, TextMessage } from '../../src/index.ts';
import { wired } from '../wired.ts';

type Read = (conn: Conn) => unknown;
const discard: Read = (conn) => conn.receive(() => {});

/** Reads a chunk with texts of these sizes; `'ping'` is a ping. */
async function afterChunk(
  read: Read,
  parts: readonly (number | 'ping')[],
): Promise<{ freed: number; sent: string[] }> {
  const { conn, feed, frame, platform, sent, transport } = wired('server');
  await platform.settle();
  read(conn);
  feed(
    ...parts.map((part) =>
      part === 'ping' ? frame(PingMessage, 'p') : frame(TextMessage, 'a'.repeat(part)),
    ),
  );
  await platform.settle();
  return { freed: transport.freed, sent: sent() };
}

describe('a chunk of whole messages', () => {
  it('is freed after a handler that returned at once', async () => {
    const texts: string[] = [];
    const { freed } = await afterChunk(
      (conn) => conn.receive((message) => void texts.push(message.text())),
      [20_000, 5],
    );
    expect([freed, texts[0]?.length, texts[1]]).toEqual([1, 20_000, 'aaaaa']);
  });

  it('is freed after an echo, whose writes are copies', async () => {
    const { freed, sent } = await afterChunk(
      (conn) => conn.receive((message) => conn.send(message)),
      [20_000, 5],
    );
    expect([freed, ...sent]).toEqual([1, 'text <20000>', 'text aaaaa']);
  });

  it.each<[of: string, read: Read, parts: (number | 'ping')[]]>([
    ['that a write may refer to', discard, [32_768]],
    ['that a write may refer to, with others', discard, [5, 32_768, 5]],
    ['whose handler is at work', (conn) => conn.receive(() => new Promise(() => {})), [20_000]],
    ['that a reader has', (conn) => conn.readMessage(), [20_000]],
    ['that nobody has read', () => {}, [20_000]],
    ['with a ping', discard, [20_000, 'ping', 5]],
    ['that is small', discard, [10_000]],
  ])('is not freed: %s', async (_, read, parts) => {
    expect((await afterChunk(read, parts)).freed).toBe(0);
  });
});
