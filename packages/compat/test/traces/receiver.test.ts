// The same frames, cut in different ways, through the Receiver of ws and through ours.
import { constants, deflateRawSync } from 'node:zlib';
import { naiveEncode } from '@ws/tests';
import { describe } from 'vitest';
import type { PerMessageDeflate, Receiver } from '../../src/index.ts';
import { type Scene, sameTrace } from '../trace.ts';

interface Parts {
  PerMessageDeflate: typeof PerMessageDeflate;
  Receiver: typeof Receiver;
}

const RSV1 = 0x40;

function frame(opcode: number, data: Buffer | string, fin = true, rsv = 0): Buffer {
  const bytes = Buffer.from(data as string);
  return Buffer.from(naiveEncode(opcode, bytes, { fin, rsv, mask: 0x37fa213d }));
}

function packed(text: string): Buffer {
  return deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

const HELLO = packed('Hello');
const EURO = Buffer.from('\u20ac');

const STREAMS: Readonly<Record<string, [options: object, ...frames: Buffer[]]>> = {
  'a ping between fragments, of which some are empty': [
    {},
    frame(2, 'ab', false),
    frame(9, 'ping'),
    frame(0, '', false),
    frame(0, 'c', false),
    frame(10, ''),
    frame(0, ''),
    frame(1, 'text'),
  ],
  'a text that is split inside a character': [
    {},
    frame(1, EURO.subarray(0, 1), false),
    frame(9, 'ping'),
    frame(0, EURO.subarray(1)),
    frame(1, EURO),
  ],
  'a text that is no UTF-8, after the ping before its end': [
    {},
    frame(1, Buffer.of(0xff), false),
    frame(9, 'ping'),
    frame(0, 'rest'),
  ],
  'a text that is no UTF-8, unchecked': [
    { skipUTF8Validation: true },
    frame(1, Buffer.of(0xff), false),
    frame(0, Buffer.of(0xe2)),
    frame(1, Buffer.of(0xff)),
  ],
  'one fragment too many, which is no UTF-8': [
    { maxFragments: 2 },
    frame(1, 'a', false),
    frame(0, 'b', false),
    frame(0, Buffer.of(0xff)),
  ],
  'fragments of the limit': [{ maxPayload: 4 }, frame(2, 'ab', false), frame(0, 'cd')],
  'fragments of one byte more': [{ maxPayload: 3 }, frame(2, 'ab', false), frame(0, 'cd')],
  'a compressed message of the limit on the wire': [
    { maxPayload: HELLO.length },
    frame(1, HELLO, true, RSV1),
  ],
  'a compressed message of one byte more on the wire': [
    { maxPayload: HELLO.length - 1 },
    frame(1, HELLO, true, RSV1),
    frame(9, 'ping'),
  ],
  'compressed fragments of one byte more on the wire': [
    { maxPayload: HELLO.length - 1 },
    frame(1, HELLO.subarray(0, 2), false, RSV1),
    frame(9, 'ping'),
    frame(0, HELLO.subarray(2)),
  ],
  'a compressed message of the limit': [
    { maxPayload: 1000 },
    frame(2, packed('x'.repeat(1000)), true, RSV1),
  ],
  'a compressed message of one byte more': [
    { maxPayload: 999 },
    frame(2, packed('x'.repeat(1000)), true, RSV1),
  ],
  'compressed and plain fragments': [
    {},
    frame(2, HELLO.subarray(0, 3), false, RSV1),
    frame(9, 'ping'),
    frame(0, HELLO.subarray(3), false),
    frame(0, ''),
    frame(2, 'pl', false),
    frame(0, 'ain'),
    frame(1, packed('\u20ac'), true, RSV1),
    frame(2, packed(''), true, RSV1),
  ],
  'compressed bytes that are no DEFLATE': [{}, frame(2, Buffer.of(0xff, 0xff), true, RSV1)],
  'RSV1 of a continuation': [
    {},
    frame(2, HELLO.subarray(0, 3), false, RSV1),
    frame(0, HELLO.subarray(3), true, RSV1),
  ],
  'large messages': [
    {},
    frame(2, Buffer.alloc(70_000, 7)),
    frame(2, Buffer.alloc(5000, 8), false),
    frame(0, Buffer.alloc(5000, 9)),
    frame(2, packed('y'.repeat(200_000)), true, RSV1),
  ],
};

/** Settles when the receiver has handled the chunk. */
function handled(receiver: Receiver, chunk: Buffer): Promise<void> {
  return new Promise((resolve) => void receiver.write(chunk, () => resolve()));
}

async function run(scene: Scene, chunks: readonly Buffer[], options: object): Promise<void> {
  const parts = scene.ws as unknown as Parts;
  const deflate = new parts.PerMessageDeflate({ isServer: true, ...options });
  deflate.accept([{ client_no_context_takeover: [true] } as never]);
  const extensions = { 'permessage-deflate': deflate };
  const receiver = new parts.Receiver({ isServer: true, extensions, ...options });
  for (const event of ['message', 'ping', 'pong', 'conclude']) {
    receiver.on(event, (...args: unknown[]) => scene.log('receiver', event, ...args));
  }
  receiver.on('error', (error: Error & { code: string }) => {
    const [symbol] = Object.getOwnPropertySymbols(error);
    const closeCode = (error as never as Record<symbol, unknown>)[symbol!];
    scene.log('receiver', 'error', error.code, closeCode);
  });
  for (const chunk of chunks) {
    if (!receiver.destroyed) await handled(receiver, Buffer.from(chunk));
  }
  await new Promise(setImmediate);
  deflate.cleanup();
}

function cut(bytes: Buffer, size: number): Buffer[] {
  const count = Math.ceil(bytes.length / size);
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

for (const binaryType of ['nodebuffer', 'arraybuffer', 'fragments']) {
  describe(`a Receiver that gives ${binaryType}`, () => {
    for (const [name, [options, ...frames]] of Object.entries(STREAMS)) {
      const all = Buffer.concat(frames);
      const sizes = all.length > 1000 ? [1000, 65_536, Infinity] : [1, 3, 7, Infinity];
      for (const size of sizes) {
        sameTrace(`${name}, in chunks of ${size}`, async (scene) => {
          await run(scene, size === Infinity ? [all] : cut(all, size), { binaryType, ...options });
        });
      }
      sameTrace(`${name}, frame by frame`, async (scene) => {
        await run(scene, frames, { binaryType, ...options });
      });
    }
  });
}
