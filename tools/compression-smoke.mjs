// Tests permessage-deflate of the built packages on the current runtime: mixed traffic between a
// Conn and a peer that uses only frames and the documented functions of node:zlib.
//   node tools/compression-smoke.mjs    bun tools/compression-smoke.mjs    deno run -A tools/compression-smoke.mjs
import assert from 'node:assert/strict';
import process from 'node:process';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { encodeFrame, FRAME, FrameDecoder } from '@ws/codec';
import { Conn, PreparedMessage } from '@ws/conn';
import { compressionBackend, configureCompression, nodePlatform } from '@ws/node-io';

const RSV1 = 0x40;
const WINDOW = 32_768;
const TAIL = Buffer.from([0, 0, 0xff, 0xff]);
const SYNC = { finishFlush: constants.Z_SYNC_FLUSH };

/** A stored block puts `bytes` into an inflater's window (RFC 1951, section 3.2.4). */
function stored(bytes) {
  const { length } = bytes;
  if (length === 0) return bytes;
  const header = [0, length & 255, length >> 8, ~length & 255, (~length >> 8) & 255];
  return Buffer.concat([Buffer.from(header), bytes]);
}

/** The client: compresses and inflates by one-shot calls, with the earlier plain text as dictionary. */
class Peer {
  transport = this.#transport();
  received = [];
  #takeover;
  #sent = Buffer.alloc(0);
  #seen = Buffer.alloc(0);
  #sink;
  #decoder = new FrameDecoder({ role: 'client', allowedRsv: RSV1 });
  #fragments = [];
  #compressed = false;
  #waiting = () => {};

  constructor(takeover) {
    this.#takeover = takeover;
  }

  send(text, compressed) {
    const plain = Buffer.from(text);
    let payload = plain;
    if (compressed) {
      // Deno ignores `dictionary`. The message then refers to nothing before it.
      const context = this.#takeover && this.#sent.length > 0 ? { dictionary: this.#sent } : {};
      payload = deflateRawSync(plain, { ...SYNC, ...context }).subarray(0, -4);
      this.#sent = Buffer.concat([this.#sent, plain]).subarray(-WINDOW);
    }
    const rsv = compressed ? RSV1 : 0;
    this.#sink.data(Uint8Array.from(encodeFrame(1, payload, { rsv, maskKey: 0x1234567 })));
  }

  async until(count) {
    while (this.received.length < count) {
      await new Promise((resolve) => {
        this.#waiting = resolve;
      });
    }
  }

  #transport() {
    return {
      bufferedAmount: 0,
      start: (sink) => {
        this.#sink = sink;
      },
      write: (chunk, release) => {
        this.#decoder.push(Uint8Array.from(chunk));
        release?.();
        while (this.#decoder.next() === FRAME) this.#frame();
        return true;
      },
      pause() {},
      resume() {},
      end() {},
      destroy: () => this.#sink.close(),
    };
  }

  #frame() {
    const { opcode, fin, rsv, buf, start, end } = this.#decoder;
    if (opcode > 2) return;
    if (opcode !== 0) this.#compressed = rsv === RSV1;
    this.#fragments.push(Buffer.from(buf.subarray(start, end)));
    if (!fin) return;
    const payload = Buffer.concat(this.#fragments.splice(0));
    this.received.push((this.#compressed ? this.#inflate(payload) : payload).toString());
    this.#waiting();
  }

  #inflate(payload) {
    const context = this.#takeover ? this.#seen : Buffer.alloc(0);
    const all = inflateRawSync(Buffer.concat([stored(context), payload, TAIL]), SYNC);
    const plain = all.subarray(context.length);
    this.#seen = Buffer.concat([this.#seen, plain]).subarray(-WINDOW);
    return plain;
  }
}

/** Texts of all sizes, different on each call, the same on each run. */
function texts(count) {
  let seed = 7;
  const next = (below) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (seed >>> 8) % below;
  };
  return Array.from({ length: count }, (_, i) => {
    const size = [0, 1, 64, 500, 4_000, 3_900][i % 6];
    let text = '';
    while (text.length < size) text += `{"id":${next(1e6)},"name":"${next(1e9).toString(36)} ä"} `;
    return i % 50 === 49 ? text.padEnd(60_000, `${next(1e6)} `) : text;
  });
}

async function mixed(backend, takeover) {
  configureCompression({ backend });
  const peer = new Peer(takeover);
  const conn = new Conn(peer.transport, {
    role: 'server',
    platform: nodePlatform,
    heartbeat: false,
    compression: { mode: takeover ? 'takeover' : 'shared', threshold: 0 },
    deflate: {
      serverNoContextTakeover: !takeover,
      clientNoContextTakeover: !takeover,
      serverMaxWindowBits: 15,
      clientMaxWindowBits: 15,
    },
  });
  let count = 0;
  const received = conn.receive(async (message) => {
    const text = message.text();
    const route = count++ % 5;
    if (route === 0) await conn.send(message);
    else if (route === 1) await conn.send(text, { compress: false });
    else if (route === 2) await conn.writePreparedMessage(new PreparedMessage(1, text));
    else if (route === 3) await conn.send(text);
    else {
      const writer = await conn.nextWriter(1);
      await writer.write(text);
      await writer.close();
    }
  });
  const sent = texts(600);
  for (const [i, text] of sent.entries()) {
    peer.send(text, i % 7 !== 0);
    if (i % 20 === 19) await peer.until(i + 1);
  }
  await peer.until(sent.length);
  assert.deepEqual(peer.received, sent);
  conn.terminate();
  await received.catch(() => {});
}

const chosen = compressionBackend();
for (const backend of ['handle', 'sync']) {
  for (const takeover of [false, true]) await mixed(backend, takeover);
}
const { bun, deno } = process.versions;
const runtime = bun ? `bun ${bun}` : deno ? `deno ${deno}` : `node ${process.version}`;
console.log(`${runtime}: ${chosen}; 2400 messages, both backends, with and without takeover`);
