import * as zlib from 'node:zlib';
import { constants, deflateRawSync } from 'node:zlib';
import { type DeflateEngines, type History, type Inflater, InflateStatus } from '@ws/deflate';
import { publishCompressionFailure } from '../diagnostics.ts';
import { HandleDeflater } from './handle-deflater.ts';
import { HandleInflater } from './handle-inflater.ts';
import { SyncDeflater } from './sync-deflater.ts';
import { SyncInflater } from './sync-inflater.ts';
import type { ZlibModule } from './zlib-handle.ts';

/** The engines of one backend, and the result of their test. */
class Backend {
  readonly engines: Engines;
  /** The reason why they do not work. Null when they work, undefined before the test. */
  #fault: unknown;

  constructor(engines: Engines) {
    this.engines = engines;
  }

  get fault(): unknown {
    if (this.#fault === undefined) {
      try {
        selfTest(this.engines);
        this.#fault = null;
      } catch (error) {
        this.#fault = error ?? new Error('the self-test threw undefined');
        publishCompressionFailure(this.#fault);
      }
    }
    return this.#fault;
  }
}

/** Both backends. */
export class ZlibBackends {
  readonly handle: Backend;
  readonly sync: Backend;

  constructor(module: ZlibModule = zlib) {
    this.handle = new Backend({
      inflater: () => new HandleInflater(module),
      deflater: (level, windowBits) => new HandleDeflater(module, level, windowBits),
    });
    this.sync = new Backend({
      inflater: () => new SyncInflater(module),
      deflater: (level, windowBits) => new SyncDeflater(module, level, windowBits),
    });
  }
}

/** Bytes of output room for a part of the text. */
const ROOM = 500;

/** Creates engines. */
export type Engines = Pick<DeflateEngines, 'inflater' | 'deflater'>;

/**
 * Tests everything that this library needs of engines. It takes one or two milliseconds in cold
 * code.
 *
 * @throws Error when an engine behaves differently.
 */
function selfTest(engines: Engines): void {
  const plain = new Uint8Array(600).map((_, i) => 97 + ((i * i) % 23));
  const history: History = {
    length: plain.length,
    copyTo: (into, at) => into.set(plain, at),
  };
  const packed = new Uint8Array(1024);
  const output = new Uint8Array(1024);
  const inflate = engines.inflater();
  const deflate = engines.deflater(1, 15);
  try {
    for (const context of [undefined, undefined, history, undefined, history]) {
      output.fill(0);
      deflate.reset();
      // The second message may refer to the first one.
      if (context !== undefined) {
        deflate.write(plain, 0, plain.length, true, packed, 0, packed.length);
      }
      const whole = deflate.write(plain, 0, plain.length, true, packed, 0, packed.length);
      const size = deflate.produced - 4;
      expect(whole && deflate.used === plain.length && size > 0, 'deflate');

      // The output room is too small for the first part; the rest follows.
      inflate.reset(context);
      const first = inflate.write(packed, 0, size, true, output, 0, ROOM, plain.length);
      expect(
        first === InflateStatus.More && inflate.produced === ROOM,
        'stop at the end of the output',
      );
      const left = plain.length - ROOM;
      const end = output.length;
      const rest = inflate.write(packed, inflate.used, size, true, output, ROOM, end, left);
      expect(rest === InflateStatus.Done && ROOM + inflate.produced === plain.length, 'continue');
      expect(
        plain.every((byte, i) => output[i] === byte),
        'inflate to the same bytes',
      );

      inflate.reset(context);
      const cut = inflate.write(packed, 0, size - 1, true, output, 0, end, plain.length);
      expect(cut === InflateStatus.Corrupt, 'find a message that is cut off');
      inflate.reset(context);
      // A block of a type that does not exist (RFC 1951, section 3.2.3).
      packed[0] = 0x07;
      const broken = inflate.write(packed, 0, size, true, output, 0, end, plain.length);
      expect(broken === InflateStatus.Corrupt, 'find an invalid block');
    }
    if (inflate.wholeMessages) testBound(inflate);
  } finally {
    inflate.close();
    deflate.close();
  }
}

/** Inflates 100 MiB of zeros, and an invalid block after them, with a limit of 1 KiB. */
function testBound(inflater: Inflater): void {
  const zeros = deflateRawSync(new Uint8Array(1 << 20), { finishFlush: constants.Z_FULL_FLUSH });
  const bomb = Buffer.concat([...Array<Uint8Array>(100).fill(zeros), Buffer.of(0x07)]);
  inflater.reset(undefined);
  const status = inflater.write(bomb, 0, bomb.length, true, new Uint8Array(1), 0, 1, 1024);
  expect(status === InflateStatus.TooBig, 'stop at the limit');
}

function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(`self-test of zlib: it does not ${what}`);
}
