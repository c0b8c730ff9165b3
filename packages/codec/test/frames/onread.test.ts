// A decoder below the option `onread` of `net.connect`.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { CloseMessage, FrameDecoder, NEED_MORE, SlabPool } from '@ws/codec';
import { hex } from '@ws/tests';
import { describe, expect, it } from 'vitest';

describe('a loop that stops at a close frame with a frame behind it', () => {
  it('gives Node its last memory again, which Node asks for after a callback of false', async () => {
    const pool = new SlabPool();
    const decoder = new FrameDecoder({ role: 'client', pool });
    const calls: string[] = [];
    let ended = false;
    let place = decoder.writable();
    await using server = createServer((peer) => peer.end(hex`88 00 81 01 68`));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const socket = connect({
      host: '127.0.0.1',
      port: (server.address() as AddressInfo).port,
      onread: {
        buffer: () => {
          if (!ended) place = decoder.writable();
          calls.push(ended ? 'buffer after the close frame' : 'buffer');
          return place;
        },
        callback: (count) => {
          decoder.commit(count);
          while (!ended && decoder.next() > NEED_MORE) ended = decoder.opcode === CloseMessage;
          calls.push('callback');
          if (ended) socket.destroy();
          return false;
        },
      },
    });
    await once(socket, 'close');
    expect(calls.slice(-2)).toEqual(['callback', 'buffer after the close frame']);
    expect(decoder.unread).toBe(3);
    decoder.reset();
    expect(pool.lent).toBe(0);
  });
});
