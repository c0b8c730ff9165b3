// The gaps of React Native's WebSocket. `pnpm long runtimes` runs a whole program over a class with all of them.
import { describe, expect, it, vi } from 'vitest';
import { dial, ReconnectingConn } from '../src/index.ts';
import { type FakeWebSocket, socketClass } from './fake-web-socket.ts';
import { socketAt } from './support.ts';

async function dialed() {
  const { WebSocket, sockets } = socketClass();
  class ReactNative extends WebSocket {
    constructor(url?: string, protocols?: string[]) {
      super(url, protocols);
      Object.assign(this, {
        bufferedAmount: undefined,
        protocol: undefined,
        extensions: undefined,
      });
    }
  }
  const dialing = dial('ws://h', { WebSocket: ReactNative, highWaterMark: 1 });
  const [socket] = sockets;
  socket!.readyState = 1;
  emit(socket!, 'open', {});
  return { conn: await dialing, socket: socket! };
}

/** Sends an event without what the fake adds. */
function emit(socket: FakeWebSocket, type: 'open' | 'close', event: object): void {
  if (type === 'close') socket.readyState = 3;
  socket.emit(type, event);
}

describe("a BrowserConn over React Native's WebSocket", () => {
  it('sends without `bufferedAmount`', async () => {
    const { conn, socket } = await dialed();
    await conn.send('hello');
    expect([socket.sent, conn.bufferedAmount]).toEqual([['hello'], 0]);
  });

  it('has no subprotocol and no extensions', async () => {
    const { conn } = await dialed();
    expect([conn.subprotocol, conn.extensions]).toEqual(['', '']);
  });

  it.each([
    [4000, true],
    [1006, false],
  ])('ends with %i cleanly: %s, without `wasClean`', async (code, wasClean) => {
    const { conn, socket } = await dialed();
    emit(socket, 'close', { code, reason: 'bye' });
    expect(await conn.closed).toMatchObject({ code, reason: 'bye', wasClean });
  });

  it('needs no TextDecoder for texts that wait, and for `resend`', async () => {
    vi.stubGlobal('TextDecoder', undefined);
    try {
      const { WebSocket, sockets } = socketClass();
      const live = new ReconnectingConn('ws://h', {
        WebSocket,
        resend: {
          id: (data) => (data === 'no id' ? undefined : (data as string)),
          acknowledged: (message) => message.text(),
        },
      });
      const sent = [live.send('grüße'), live.send('no id')];
      const texts: string[] = [];
      void live.receive((message) => void texts.push(message.text()));
      const socket = await socketAt(sockets, 0);
      socket.open();
      await expect.poll(() => socket.sent).toEqual(['grüße', 'no id']);
      socket.message('grüße');
      await Promise.all(sent);
      await expect.poll(() => texts).toEqual(['grüße']);
      const closed = live.close();
      await expect.poll(() => socket.closes).toHaveLength(1);
      socket.end(1000);
      await closed;
    } finally {
      vi.unstubAllGlobals();
    }
  });
});
