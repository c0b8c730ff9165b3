import { describe, expect, it } from 'vitest';
import { connected } from './fake-conn.ts';

describe('SocketConn', () => {
  it('names no browser in the error of a lost connection', async () => {
    const { conn, socket } = connected();
    const read = conn.readMessage();
    socket.emit('close', { code: 1006 });
    await expect(read).rejects.toThrow(/^websocket: close 1006 \(abnormal closure\)$/);
  });

  it('closes with 1013 over maxQueuedBytes: a client may come back', async () => {
    const { conn, socket } = connected({ maxQueuedBytes: 1000 });
    for (let i = 0; i < 3; i++) socket.emit('message', { data: 'x'.repeat(200) });
    expect(socket.closes).toEqual([1013]);
    expect(conn.state).toBe('closing');
  });

  it('awaits room for a write by the turns of its runtime', async () => {
    const { conn, socket, waits } = connected();
    socket.bufferedAmount = 2 ** 20;
    const sent = conn.send('more');
    await expect.poll(() => waits.length).toBeGreaterThan(2);
    socket.bufferedAmount = 0;
    await sent;
    expect(waits.slice(0, 3)).toEqual([1, 2, 4]);
  });

  it('has no toStreams', () => {
    expect(() => connected().conn.toStreams()).toThrow('toStreams is not available');
  });
});
