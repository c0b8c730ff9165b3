// Our messages, inflated by pako in exactly the negotiated window.
import { BinaryMessage, PreparedMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { hex, nothingLeft, pakoInflate } from '../kit/index.ts';
import {
  BACKENDS,
  KINDS,
  RSV1,
  seeded,
  someText,
  TAKEOVER,
  turns,
  until,
  wiredOn,
} from './support.ts';

const TAIL = hex('00 00 ff ff');

describe.each(BACKENDS)('our compressed messages on %s', (backend) => {
  nothingLeft();

  it.each(
    [8, 9, 10, 12, 15].flatMap((bits) => [true, false].map((takeover) => ({ bits, takeover }))),
  )('need no window larger than $bits bits, takeover: $takeover', async ({ bits, takeover }) => {
    const random = seeded(`${backend} window ${bits} ${takeover}`);
    const { conn, sent } = wiredOn(backend, {
      deflate: { ...TAKEOVER, serverNoContextTakeover: !takeover, serverMaxWindowBits: bits },
      compression: {
        mode: 'takeover',
        threshold: 0,
        level: 6,
        maxBytes: 3000,
      },
      writeBufferSize: 700,
    });
    const messages: Buffer[] = [];
    for (let i = 0; i < 40; i++) {
      // Each of the first ones is compressed.
      const isFirst = i < 10;
      const kind = isFirst ? 'words' : KINDS[random.below(KINDS.length)]!;
      const size = random.below(random.below(5) === 0 ? 6000 : 800);
      const data = Buffer.from(someText(random, size + (isFirst ? 200 : 0), kind));
      messages.push(data);
      const route = random.below(isFirst ? 3 : 6);
      // Level 0 sends most messages as they are, so it may not come first.
      if (route === 0 && i >= 20) conn.setCompressionLevel(random.below(12) - 2);
      if (route === 1) void conn.writePreparedMessage(new PreparedMessage(BinaryMessage, data));
      else if (route === 2) {
        const writer = await conn.nextWriter(BinaryMessage, { queue: true });
        await writer.write(data.subarray(0, data.length >> 1));
        await writer.write(data.subarray(data.length >> 1));
        await writer.close();
      } else if (route === 3) void conn.send(data, { compress: false });
      else void conn.send(data);
    }
    await until(() => conn.stats.messagesOut === messages.length);
    await turns();
    const all: { plain: Buffer; payload: Buffer; compressed: boolean }[] = [];
    let parts: Uint8Array[] = [];
    let compressed = false;
    for (const { opcode, rsv, fin, payload } of sent()) {
      if (opcode !== 0) compressed = rsv === RSV1;
      parts.push(payload);
      if (!fin) continue;
      all.push({ plain: messages[all.length]!, payload: Buffer.concat(parts), compressed });
      parts = [];
    }
    expect(all.every((one) => one.compressed || one.payload.equals(one.plain))).toBe(true);
    const packed = all.filter((one) => one.compressed);
    expect([all.length, packed.length > 8]).toEqual([messages.length, true]);
    for (const context of takeover ? [packed] : packed.map((one) => [one])) {
      const stream = Buffer.concat(context.flatMap(({ payload }) => [payload, TAIL]));
      const plain = Buffer.concat(context.map((one) => one.plain));
      expect(pakoInflate(stream, new Uint8Array(0), bits).equals(plain)).toBe(true);
    }
  });
});
