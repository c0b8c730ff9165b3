import { SingleBar } from 'cli-progress';
import type { Standing } from '../client/load-run.ts';

/** A bar on stderr that moves with the time, where a person is watching; else nothing. */
export class LoadBar {
  readonly #bar: SingleBar | undefined;
  readonly #durationMs: number;
  readonly #began = performance.now();
  #last: { at: number; echoed: number } = { at: 0, echoed: 0 };

  constructor(durationMs: number) {
    this.#durationMs = durationMs;
    if (!process.stderr.isTTY) return;
    this.#bar = new SingleBar({
      format: '[{bar}] {percentage} % | {rate} echoes/s | {open} open | {errors} errors',
      barCompleteChar: '#',
      barIncompleteChar: '.',
      barsize: 24,
      hideCursor: true,
      clearOnComplete: true,
      stopOnComplete: false,
      // Ctrl-C is the command's.
      gracefulExit: false,
    });
    this.#bar.start(durationMs, 0, { rate: '-', open: '-', errors: 0 });
  }

  /** How far it is now. */
  show({ echoed, errors, open }: Standing): void {
    const at = performance.now() - this.#began;
    const { at: then, echoed: before } = this.#last;
    const rate = Math.round((1000 * (echoed - before)) / Math.max(1, at - then));
    this.#last = { at, echoed };
    this.#bar?.update(Math.min(at, this.#durationMs), { rate, open, errors });
  }

  /** Clears the line. */
  end(): void {
    this.#bar?.stop();
  }
}
