import { BinaryMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft } from '../../src/peers/index.ts';
import { BACKENDS, pack, turns, wiredOn } from './support.ts';

const RSV1 = 0x40;

describe.each(BACKENDS)('a read limit on %s', (backend) => {
  nothingLeft();

  it('holds for the compressed message under way when it is raised', async () => {
    const { conn, feed, frame, transport } = wiredOn(backend, { readLimit: 1000 });
    const whole = frame(BinaryMessage, pack(Buffer.alloc(10_000)), { rsv: RSV1 });
    feed(whole.subarray(0, 8));
    await turns();
    conn.setReadLimit(10_000);
    feed(whole.subarray(8));
    expect((await conn.readMessage()).data.length).toBe(10_000);
    transport.break();
  });
});
