import type { PageSocket, WebSocketEvent } from '@ws/browser/internal';
import { describe, expect, it } from 'vitest';
import { checkUpgradeOptions } from '../src/options.ts';
import { SocketConn } from '../src/server-conn.ts';

/** A socket of a runtime whose events the test sends. */
class FakeSocket implements PageSocket {
  readyState = 1;
  bufferedAmount = 0;
  readonly protocol = '';
  readonly extensions = '';
  binaryType = '';
  readonly sent: unknown[] = [];
  readonly #listeners = new Map<string, (event: WebSocketEvent) => void>();

  addEventListener(type: string, listener: (event: WebSocketEvent) => void): void {
    this.#listeners.set(type, listener);
  }

  send(data: unknown): void {
    this.sent.push(data);
  }

  close(): void {
    this.readyState = 2;
  }

  emit(type: string, event: WebSocketEvent): void {
    this.#listeners.get(type)?.(event);
  }
}

function connected(options: object = {}): { conn: SocketConn; socket: FakeSocket } {
  const socket = new FakeSocket();
  return {
    conn: new SocketConn(socket, checkUpgradeOptions(options, 2 ** 25), 2 ** 25, ''),
    socket,
  };
}

describe('SocketConn', () => {
  it('names no browser in the error of a lost connection', async () => {
    const { conn, socket } = connected();
    const read = conn.readMessage();
    socket.emit('close', { code: 1006 });
    await expect(read).rejects.toThrow(/^websocket: close 1006 \(abnormal closure\)$/);
  });

  it('has no toStreams', () => {
    expect(() => connected().conn.toStreams()).toThrow('toStreams is not available');
  });

  it('answers an autoResponse, and gives readers the other messages', async () => {
    const { conn, socket } = connected({ autoResponse: { request: 'ping', response: 'pong' } });
    const read = conn.readMessage();
    socket.emit('message', { data: 'ping' });
    socket.emit('message', { data: 'hello' });
    expect((await read).text()).toBe('hello');
    expect(socket.sent).toEqual(['pong']);
  });

  it('does not answer while too much waits to be sent', () => {
    const options = { autoResponse: { request: 'ping', response: 'pong' }, highWaterMark: 10 };
    const { socket } = connected(options);
    socket.bufferedAmount = 10;
    socket.emit('message', { data: 'ping' });
    expect(socket.sent).toEqual([]);
  });
});
