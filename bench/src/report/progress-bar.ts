import process from 'node:process';
import { SingleBar } from 'cli-progress';
import type { LoadProgress } from '../client/load-run.ts';

/** A bar on stderr; undefined without a terminal. */
function createBar(format: string, fps: number): SingleBar | undefined {
  if (!process.stderr.isTTY) return undefined;
  return new SingleBar({
    format,
    fps,
    barCompleteChar: '#',
    barIncompleteChar: '.',
    barsize: 24,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
    // The command handles Ctrl-C.
    gracefulExit: false,
  });
}

/** Shows the step of a scenario and the time left. */
export class StepBar {
  // Two redraws in a second: this process shares the machine with the measurement.
  readonly #bar = createBar('[{bar}] {name}, {eta_formatted} left', 2);
  readonly #steps: number;
  #done = -1;

  /** @param steps - Number of calls of {@link step}. */
  constructor(steps: number) {
    this.#steps = steps;
  }

  /** Shows that the step `name` starts. */
  step(name: string): void {
    if (this.#done++ < 0) this.#bar?.start(this.#steps, 0, { name });
    else this.#bar?.update(this.#done, { name });
  }

  /** Clears the line. */
  end(): void {
    if (this.#done >= 0) this.#bar?.stop();
  }
}

/** Shows the elapsed part of a load's duration, its rate and its errors. */
export class LoadBar {
  readonly #bar = createBar(
    '[{bar}] {percentage} % | {rate} echoes/s | {open} open | {errors} errors',
    10,
  );
  readonly #durationMs: number;
  readonly #startedAt = performance.now();
  #last: { at: number; echoed: number } = { at: 0, echoed: 0 };

  constructor(durationMs: number) {
    this.#durationMs = durationMs;
    this.#bar?.start(durationMs, 0, { rate: '-', open: '-', errors: 0 });
  }

  /** Shows the progress. The rate is that since the last call. */
  show({ echoed, errors, open }: LoadProgress): void {
    const at = performance.now() - this.#startedAt;
    const last = this.#last;
    const rate = Math.round((1000 * (echoed - last.echoed)) / Math.max(1, at - last.at));
    this.#last = { at, echoed };
    this.#bar?.update(Math.min(at, this.#durationMs), { rate, open, errors });
  }

  /** Clears the line. */
  end(): void {
    this.#bar?.stop();
  }
}
