import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  broadcast,
  connPair,
  type Message,
  PreparedMessage,
  TextMessage,
} from '../../src/index.ts';

const CONTENTS = [
  ['text', 'grüße'],
  ['bytes', Uint8Array.of(1, 2, 0xff)],
  ['long bytes', new Uint8Array(70_000).fill(7)],
] as const;

describe.each(CONTENTS)('a message of %s that was read', (_, data) => {
  const isText = typeof data === 'string';
  const type = isText ? TextMessage : BinaryMessage;

  /** Returns a pair of connections and the message that the first one has read. */
  async function read(): Promise<{ pair: ReturnType<typeof connPair>; message: Message }> {
    const pair = connPair();
    const [message] = await Promise.all([pair[1].readMessage(), pair[0].send(data)]);
    return { pair, message };
  }

  it.each([
    ['send', (pair, message) => pair[1].send(message)],
    ['writeMessage', (pair, message) => pair[1].writeMessage(message.type, message)],
    ['broadcast', (pair, message) => void broadcast([pair[1]], message)],
    [
      'writePreparedMessage',
      (pair, message) => pair[1].writePreparedMessage(new PreparedMessage(message.type, message)),
    ],
    [
      'nextWriter',
      async (pair, message) => {
        const writer = await pair[1].nextWriter(message.type);
        await writer.write(message);
        await writer.close();
      },
    ],
  ] satisfies [string, (pair: ReturnType<typeof connPair>, message: Message) => unknown][])(
    'is sent by %s with its type and its bytes',
    async (__, write) => {
      const { pair, message } = await read();
      const [echo] = await Promise.all([pair[0].readMessage(), write(pair, message)]);
      expect(echo.type).toBe(type);
      expect(echo.isText).toBe(isText);
      expect(echo.data).toEqual(message.data);
    },
  );

  it('is text or not, as its type says', async () => {
    const { pair, message } = await read();
    expect([message.isText, message.type]).toEqual([isText, type]);
    const borrowed: unknown[] = [];
    const receiving = pair[1].receive((next) => void borrowed.push(next.isText));
    await pair[0].send(message);
    await pair[0].close();
    await receiving;
    expect(borrowed).toEqual([isText]);
  });
});

describe('conn.data', () => {
  it('is undefined at first, and the application may set it', () => {
    const [client] = connPair();
    expect(client.data).toBeUndefined();
    client.data = { user: 'ann' };
    expect(client.data).toEqual({ user: 'ann' });
    client.terminate();
  });
});
