// Our messages, inflated by pako in exactly the negotiated window.
import { BinaryMessage, PreparedMessage } from '@ws/conn';
import * as pako from 'pako';
import { describe, expect, it } from 'vitest';
import { hex, nothingLeft } from '../kit/index.ts';
import {
  BACKENDS,
  isSame,
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

/** An inflater with context takeover and a window of exactly `windowBits`. */
class StrictPeer {
  readonly #windowBits: number;
  readonly #takeover: boolean;
  #plain: Uint8Array[] = [];
  #inflate: pako.Inflate;

  constructor(windowBits: number, takeover: boolean) {
    this.#windowBits = windowBits;
    this.#takeover = takeover;
    this.#inflate = this.#anew();
  }

  read(message: Uint8Array): Buffer {
    if (!this.#takeover) this.#inflate = this.#anew();
    this.#plain = [];
    this.#inflate.push(Buffer.concat([message, TAIL]), 2);
    if (this.#inflate.err !== 0) throw new Error(`pako: ${this.#inflate.msg}`);
    return Buffer.concat(this.#plain);
  }

  #anew(): pako.Inflate {
    // One byte at a time: zlib does not check distances within one output buffer.
    const inflate = new pako.Inflate({ raw: true, windowBits: this.#windowBits, chunkSize: 1 });
    inflate.onData = (chunk: string | Uint8Array) => this.#plain.push(Buffer.from(chunk));
    return inflate;
  }
}

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
        sendHistory: 32_768,
        takeoverEngines: bits % 2,
        asyncDeflateThreshold: 3000,
      },
      writeBufferSize: 700,
    });
    const messages: Buffer[] = [];
    for (let i = 0; i < 60; i++) {
      const kind = KINDS[random.below(KINDS.length)]!;
      const data = Buffer.from(
        someText(random, random.below(random.below(5) === 0 ? 6000 : 800), kind),
      );
      messages.push(data);
      const route = random.below(6);
      if (route === 0) conn.setCompressionLevel(random.below(12) - 2);
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
    const peer = new StrictPeer(bits, takeover);
    const got: Buffer[] = [];
    let parts: Uint8Array[] = [];
    let compressed = false;
    let count = 0;
    for (const { opcode, rsv, fin, payload } of sent()) {
      if (opcode !== 0) compressed = rsv === RSV1;
      parts.push(payload);
      if (!fin) continue;
      const whole = Buffer.concat(parts);
      parts = [];
      if (compressed) count++;
      got.push(compressed ? peer.read(whole) : whole);
    }
    expect(got.map((data, i) => isSame(data, messages[i]!))).toEqual(messages.map(() => true));
    expect(count).toBeGreaterThan(15);
  });
});
