import { describe, expect, it, vi } from 'vitest';
import { BackpressureError, BinaryMessage, PreparedMessage, TextMessage } from '../../src/index.ts';
import { wired } from '../wired.ts';

// `maxBufferedAmount` bounds the memory of writes that wait, not only their data.

/** How many of `count` calls were accepted. */
async function accepted(count: number, call: () => Promise<unknown>): Promise<number> {
  let refused = 0;
  for (let i = 0; i < count; i++) {
    call().catch((error: unknown) => {
      if (error instanceof BackpressureError) refused++;
    });
  }
  await new Promise((resolve) => setImmediate(resolve));
  return count - refused;
}

describe.each(['server', 'client'] as const)('a %s with an open MessageWriter', (role) => {
  async function open() {
    const test = wired(role, { maxBufferedAmount: 100_000 });
    await test.platform.settle();
    test.transport.block();
    const writer = await test.conn.nextWriter(BinaryMessage);
    void writer.write(new Uint8Array(70_000));
    await test.platform.settle();
    expect(test.conn.bufferedAmount).toBeGreaterThan(65_536);
    return { ...test, writer };
  }

  it.each([
    ['messages of one byte', (test) => () => test.conn.send('x')],
    ['empty messages', (test) => () => test.conn.send(new Uint8Array(0))],
    [
      'prepared messages',
      (test) => () => test.conn.writePreparedMessage(new PreparedMessage(TextMessage, 'x')),
    ],
    ['calls of nextWriter', (test) => () => test.conn.nextWriter(TextMessage, { queue: true })],
  ] as const satisfies [
    string,
    (test: Awaited<ReturnType<typeof open>>) => () => Promise<unknown>,
  ][])('accepts a bounded number of %s', async (_says, write) => {
    const test = await open();
    const { conn } = test;
    const before = conn.bufferedAmount;
    const count = await accepted(1_000, write(test));
    expect(count).toBeGreaterThan(10);
    expect(count).toBeLessThan(40);
    // The costs are no bytes on the wire.
    expect(conn.bufferedAmount - before).toBeLessThanOrEqual(count);
    conn.terminate();
  });

  it('accepts them again when the earlier ones have left', async () => {
    const { conn, platform, transport, writer } = await open();
    await accepted(1_000, () => conn.send('x'));
    transport.drain();
    await platform.settle();
    await writer.close();
    await platform.settle();
    expect(await accepted(10, () => conn.send('x'))).toBe(10);
    expect(conn.bufferedAmount).toBe(0);
  });

  it('accepts a bounded number of pending calls of the writer', async () => {
    const { conn, writer } = await open();
    expect(await accepted(1_000, () => writer.write(''))).toBe(1_000);
    let first: unknown;
    let count = 0;
    for (; count < 1_000 && first === undefined; count++) {
      writer.write('x').catch((error: unknown) => (first ??= error));
      if (count % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(first).toBeInstanceOf(BackpressureError);
    expect(count).toBeLessThan(60);
    conn.terminate();
  });
});

describe('a text that is refused for back-pressure', () => {
  it('is not measured when its units are over the limit already', async () => {
    const { conn, platform, transport } = wired('server', { maxBufferedAmount: 100_000 });
    await platform.settle();
    transport.block();
    void conn.send(new Uint8Array(90_000));
    await platform.settle();
    const text = 'é'.repeat(20_000);
    const codePoints = vi.spyOn(String.prototype, 'charCodeAt');
    const refused = conn.send(text);
    expect(codePoints).not.toHaveBeenCalled();
    codePoints.mockRestore();
    await expect(refused).rejects.toThrow(/and at least 20000 more would exceed maxBufferedAmount/);
    // With its bytes it is over the limit, with its units it is not.
    await expect(conn.send('é'.repeat(9_000))).rejects.toThrow(/and 18000 more would exceed/);
  });
});
