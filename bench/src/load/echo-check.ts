import { constants, inflateRawSync } from 'node:zlib';
import { type Corpus, TAIL } from './corpus.ts';

/** How many messages of each check are inflated for themselves where none may refer back. */
const ALONE = 16;
const WINDOW = 32 * 1024;

/** What the echoes of one connection are made of. */
export interface Checked {
  readonly messages: number;
  /** How many of them were sent compressed; others did not get smaller by it. */
  readonly compressed: number;
}

/**
 * Compares what a server echoed on one connection with what it was sent, byte by byte. Compressed messages are inflated
 * as one stream: that is what context takeover means, and those that share nothing make a valid stream as well.
 */
export class EchoCheck {
  readonly #corpus: Corpus;
  /** The plain text that the next message may refer back to. */
  #window: Buffer = Buffer.alloc(0);
  #index = 0;

  constructor(corpus: Corpus) {
    this.#corpus = corpus;
  }

  /**
   * The next echoes, in their order.
   *
   * @throws Error for one that is not what was sent.
   */
  check(echoes: Iterable<{ payload: Buffer; compressed: boolean }>): Checked {
    const { context } = this.#corpus;
    const stream: Buffer[] = [];
    const expected: Buffer[] = [];
    let messages = 0;
    for (const { payload, compressed } of echoes) {
      const plain = this.#expected();
      messages++;
      if (!compressed) {
        same(payload, plain);
        continue;
      }
      if (context === 'none') throw new Error('compressed without having agreed to it');
      const whole = Buffer.concat([payload, TAIL]);
      stream.push(whole);
      expected.push(plain);
      if (context === 'shared' && stream.length <= ALONE) same(inflate(whole, plain.length), plain);
    }
    if (stream.length > 0) this.#compareStream(Buffer.concat(stream), Buffer.concat(expected));
    return { messages, compressed: stream.length };
  }

  #compareStream(stream: Buffer, expected: Buffer): void {
    const takeover = this.#corpus.context === 'takeover';
    same(inflate(stream, expected.length, takeover ? this.#window : undefined), expected);
    if (takeover)
      this.#window = Buffer.from(Buffer.concat([this.#window, expected]).subarray(-WINDOW));
  }

  #expected(): Buffer {
    const { plain, size, count } = this.#corpus;
    const at = (this.#index++ % count) * size;
    return plain.subarray(at, at + size);
  }
}

function inflate(stream: Buffer, size: number, dictionary?: Buffer): Buffer {
  return inflateRawSync(stream, {
    finishFlush: constants.Z_SYNC_FLUSH,
    chunkSize: Math.max(1024, size + 1),
    ...(dictionary !== undefined && dictionary.length > 0 && { dictionary }),
  });
}

function same(got: Buffer, expected: Buffer): void {
  if (got.equals(expected)) return;
  throw new Error(
    `an echo differs from what was sent: '${excerpt(got)}' instead of '${excerpt(expected)}'`,
  );
}

function excerpt(bytes: Buffer): string {
  return JSON.stringify(bytes.toString('latin1', 0, 60)).slice(1, -1);
}
