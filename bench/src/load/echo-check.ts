import { constants, inflateRawSync } from 'node:zlib';
import { type Corpus, TAIL } from './corpus.ts';
import { differenceOf } from './difference.ts';

/** Number of messages per check that are inflated separately, where no message may refer back. */
const ALONE = 16;
const WINDOW = 32 * 1024;

/** The verified echoes of one connection. */
export interface Checked {
  readonly messages: number;
  /** Number of compressed messages. Compression did not shrink the others. */
  readonly compressed: number;
}

/**
 * Compares the echoes of one connection with the messages sent, byte by byte. Compressed messages
 * are inflated as one stream, as context takeover requires. Messages without context takeover form
 * a valid stream too.
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
   * Verifies the next echoes, in order.
   *
   * @throws Error for an echo that differs.
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
      if (context === 'none') throw new Error('a message is compressed without an agreement');
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
  if (!got.equals(expected)) throw new Error(`an echo ${differenceOf(got, expected)}`);
}
