import { NO_BYTES } from '@ws/codec/internal';
import { Fifo } from '../memory/fifo.ts';
import type { DeflateJob, History } from '../platform/deflate-engine.ts';
import { portablePlatform } from '../platform/portable-platform.ts';
import { CHUNK, PureDeflater, TAIL } from './deflater.ts';

/** A message that waits to be compressed, or is compressed chunk by chunk. */
class LargeMessage {
  readonly done: (output: Uint8Array | undefined) => void;
  readonly #job: DeflateJob;
  /** Copied: the history changes before the message begins. */
  readonly #history: History | undefined;
  #deflater: PureDeflater | undefined;
  #bytes: Uint8Array = NO_BYTES;
  #from = 0;
  #output: Uint8Array = NO_BYTES;
  #size = 0;

  constructor(job: DeflateJob, done: (output: Uint8Array | undefined) => void) {
    this.#job = job;
    this.#history = keptHistory(job.history);
    this.done = done;
  }

  /** @returns False for more chunks; undefined when the job fails or the result is not smaller. */
  nextChunk(): Uint8Array | false | undefined {
    try {
      this.#deflater ??= this.#begin();
      const bytes = this.#bytes;
      const to = Math.min(bytes.length, this.#from + CHUNK);
      const { length } = this.#output;
      const fits = this.#deflater.write(
        bytes,
        this.#from,
        to,
        true,
        this.#output,
        this.#size,
        length,
      );
      if (!fits) return undefined;
      this.#from = to;
      this.#size += this.#deflater.produced;
      return to < bytes.length ? false : this.#output.subarray(0, this.#size - TAIL.length);
    } catch {
      return undefined;
    }
  }

  /** @throws TypeError when the message is gone. */
  #begin(): PureDeflater {
    const bytes = this.#job.begin();
    if (bytes === undefined) throw new TypeError('the message was cancelled');
    this.#bytes = bytes;
    this.#output = new Uint8Array(bytes.length);
    const deflater = new PureDeflater(this.#job.windowBits);
    deflater.reset(this.#history);
    return deflater;
  }
}

function keptHistory(history: History | undefined): History | undefined {
  if (history === undefined || history.length === 0) return undefined;
  const copy = new Uint8Array(history.length);
  history.copyTo(copy, 0);
  return { length: copy.length, copyTo: (into, at) => into.set(copy, at) };
}

/**
 * Compresses large messages one after the other, a chunk in each turn of the event loop. So many
 * messages together do not make a turn longer.
 */
export class LargeMessages {
  readonly #waiting = new Fifo<LargeMessage>();
  #scheduled = false;

  /** @see `DeflateSource.deflateLater` */
  add(job: DeflateJob, done: (output: Uint8Array | undefined) => void): () => void {
    this.#schedule();
    const entry = this.#waiting.add(new LargeMessage(job, done));
    return () => void this.#waiting.remove(entry);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    portablePlatform.yield(this.#run);
    this.#scheduled = true;
  }

  readonly #run = (): void => {
    this.#scheduled = false;
    const first = this.#waiting.peek();
    if (first === undefined) return;
    const output = first.nextChunk();
    if (output !== false) this.#waiting.shift();
    if (this.#waiting.length > 0) this.#schedule();
    if (output !== false) first.done(output);
  };
}
