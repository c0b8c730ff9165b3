// A page whose ReconnectingConn has no reader: what it keeps, and when it dials.
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { ReconnectingConn } from '../src/index.ts';
import { bytes, socketClass } from './fake-web-socket.ts';
import { openAt, pass } from './support.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function page() {
  const { WebSocket, sockets } = socketClass();
  const live = new ReconnectingConn('ws://h', { WebSocket, minDelay: 1, maxDelay: 2 });
  onTestFinished(() => void live.close());
  return { sockets, live };
}

describe('C3 a page without a reader', () => {
  it('sends after each of 70 breaks', async () => {
    const { sockets, live } = page();
    for (let i = 0; i < 70; i++) {
      const socket = await openAt(sockets, i);
      if (i > 0) expect(socket.sent).toEqual([String(i)]);
      socket.end();
      await pass(0);
      void live.send(String(i + 1));
      await pass(2);
    }
    expect(sockets).toHaveLength(71);
  });

  it('keeps at most 16 MiB of all its connections, then dials for a reader only', async () => {
    const { sockets, live } = page();
    const size = 5 * 2 ** 20;
    for (let i = 0; i < 4; i++) {
      const socket = await openAt(sockets, i);
      socket.message(bytes(i));
      socket.message(new ArrayBuffer(size));
      socket.end();
      await pass(0);
      void live.send(String(i));
      await pass(5);
    }
    // 20 MiB wait, which three connections may not have and the fourth may exceed.
    await pass(60_000);
    expect(sockets).toHaveLength(4);
    const lengths: number[] = [];
    void live.receive((message) => void lengths.push(message.length));
    await pass(5);
    expect(lengths).toEqual([1, size, 1, size, 1, size, 1, size]);
    expect(sockets).toHaveLength(5);
  });
});
