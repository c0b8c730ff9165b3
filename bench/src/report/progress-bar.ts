import process from 'node:process';
import { SingleBar } from 'cli-progress';

/** Shows the step of a scenario and the time left, on a terminal. */
export class StepBar {
  readonly #bar: SingleBar | undefined;
  readonly #steps: number;
  #done = -1;

  /** @param steps - Number of calls of {@link step}. */
  constructor(steps: number) {
    this.#steps = steps;
    if (!process.stderr.isTTY) return;
    this.#bar = new SingleBar({
      format: '[{bar}] {name}, {eta_formatted} left',
      // This process shares the machine with the measurement.
      fps: 2,
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
