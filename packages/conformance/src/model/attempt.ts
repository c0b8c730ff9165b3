import { Transcript } from '../wire/transcript.ts';
import { Skip, Violation } from './verdicts.ts';

/** One run of a case: its bounds, its notes, and what has to be given back when it is over. */
export class Attempt {
  /** Milliseconds that any single wait may take. */
  readonly timeout: number;
  readonly transcript: Transcript = new Transcript();
  /** SHOULDs that were not followed, a sentence each. */
  readonly remarks: string[] = [];
  readonly #disposals: (() => void)[] = [];

  constructor(timeout: number) {
    this.timeout = timeout;
  }

  /** Milliseconds to wait for what a target SHOULD do, before the case goes on without it. */
  get patience(): number {
    return this.timeout / 2;
  }

  /** Notes a SHOULD that was not followed; the case goes on. */
  nonStrict(words: string): void {
    if (!this.remarks.includes(words)) this.remarks.push(words);
  }

  /** Ends the case: it does not apply. */
  skip(reason: string): never {
    throw new Skip(reason);
  }

  /** Ends the case: the target broke a rule. */
  fail(words: string): never {
    throw new Violation(words);
  }

  /** Registers what has to happen when the case is over, whatever its end. */
  onDispose(run: () => void): void {
    this.#disposals.push(run);
  }

  dispose(): void {
    for (const run of this.#disposals.splice(0)) run();
  }
}
