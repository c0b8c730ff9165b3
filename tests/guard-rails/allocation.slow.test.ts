import { type Conn, type MessageHandler, type Role, TextMessage } from '@ws/conn';
import { nodePlatform } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { heapPerUnit, turn } from '../kit/index.ts';
import { type FreeTransport, frameFor, wired } from './wire.ts';

// The smallest object has 24 bytes. The messages of one read share its views.
const GENEROUS = 8;
const ROLES: readonly Role[] = ['server', 'client'];
const SMALL = 16;
/** Messages of one read: below the limit of one turn. */
const MESSAGES = 400;

/** Delivers the same read repeatedly: messages of `size` bytes. */
function sameRead(role: Role, transport: FreeTransport, size: number, opcode = 2): () => number {
  const frame = frameFor(role, Buffer.alloc(size, 'a'), opcode);
  const stream = Buffer.alloc(frame.length * MESSAGES, frame);
  const chunk = new Uint8Array(stream.length);
  return () => {
    // The connection has unmasked it in place.
    chunk.set(stream);
    transport.give(chunk);
    return MESSAGES;
  };
}

describe.each(ROLES)('per message, a %s allocates nothing', (role) => {
  it.each([
    { says: 'takes', handlerOf: () => () => {} },
    { says: 'echoes', handlerOf: (conn) => (message) => void conn.send(message) },
    {
      says: 'echoes with a handler that returns the promise',
      handlerOf: (conn) => (message) => conn.send(message),
    },
  ] satisfies { says: string; handlerOf: (conn: Conn) => MessageHandler }[])(
    'that it $says by receive',
    async ({ says, handlerOf }) => {
      const { conn, transport } = wired(role);
      const reading = conn.receive(handlerOf(conn));
      await turn();
      const perMessage = heapPerUnit(sameRead(role, transport, SMALL));
      expect(conn.stats.messagesOut).toBe(says === 'takes' ? 0 : conn.stats.messagesIn);
      expect(perMessage).toBeLessThan(GENEROUS);
      conn.terminate();
      await expect(reading).rejects.toThrow('close 1006');
    },
  );

  it('that it drops', async () => {
    const { conn, transport } = wired(role);
    const reading = conn.discardReads();
    await turn();
    const perMessage = heapPerUnit(sameRead(role, transport, SMALL, TextMessage));
    expect(perMessage).toBeLessThan(GENEROUS);
    conn.terminate();
    await expect(reading).rejects.toThrow('close 1006');
  });

  it.each([
    { kind: 'bytes', data: Buffer.alloc(100) },
    { kind: 'ASCII', data: 'a'.repeat(100) },
    { kind: 'text', data: 'ü'.repeat(100) },
  ])('that it sends ($kind)', async ({ data }) => {
    let deferred: (() => void)[] = [];
    const { conn, transport } = wired(
      role,
      {},
      {
        ...nodePlatform,
        defer: (callback) => void deferred.push(callback),
      },
    );
    const turnEnds = (): void => {
      const ready = deferred;
      deferred = [];
      for (const callback of ready) callback();
    };
    turnEnds();
    const perMessage = heapPerUnit(() => {
      for (let i = 0; i < MESSAGES; i++) void conn.send(data);
      turnEnds();
      return MESSAGES;
    });
    expect(transport.bytes).toBe(conn.stats.bytesOut);
    // The key of a text of a client is a number that V8 puts on the heap: limits.md has the figures.
    const keys = role === 'client' && typeof data === 'string' ? 80 : 0;
    expect(perMessage).toBeLessThan(GENEROUS + keys);
    conn.terminate();
  });
});
