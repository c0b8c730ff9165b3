import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { serverFrame } from '../../src/load/echo-corpus.ts';
import { openSession, SESSIONS } from '../../src/load/session.ts';

/** A socket that records what is written. */
class Recorder extends Duplex {
  written = 0;

  override _read(): void {}

  override _write(_chunk: Buffer, _encoding: string, callback: () => void): void {
    this.written++;
    callback();
  }
}

const text = (content: string): Buffer => serverFrame(0x81, Buffer.from(content));
const none = Buffer.alloc(0);

describe('openSession', () => {
  test('reads welcomes that come in pieces, and answers', async () => {
    const socket = new Recorder();
    const opened = openSession(
      socket as unknown as Socket,
      'socket.io',
      text('0{}').subarray(0, 1),
    );
    socket.push(text('0{}').subarray(1));
    await new Promise((resolve) => socket.once('data', resolve));
    await new Promise(setImmediate);
    expect(socket.written).toBe(1);
    socket.push(text('40{}'));
    await opened;
  });

  test.each([
    ['another message', text('1')],
    ['bytes', serverFrame(0x82, Buffer.from('0'))],
    ['more than the welcome', Buffer.concat([text('0'), text('4x')])],
  ])('rejects %s', async (_name, first) => {
    const socket = new Recorder() as unknown as Socket;
    await expect(openSession(socket, 'engine.io', first)).rejects.toThrow('engine.io sent');
  });

  test('rejects a connection that closes', async () => {
    const socket = new Recorder();
    const opened = openSession(socket as unknown as Socket, 'engine.io', none);
    socket.destroy();
    await expect(opened).rejects.toThrow('closed');
  });

  test('wraps messages as the packages do', () => {
    expect(SESSIONS['engine.io'].message('a"b')).toBe('4a"b');
    expect(SESSIONS['socket.io'].message('a"b')).toBe('42["e","a\\"b"]');
  });
});
