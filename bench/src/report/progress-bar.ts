import process from 'node:process';
import { clearLine, cursorTo } from 'node:readline';
import { SingleBar } from 'cli-progress';

/** Share of the work from which its duration can be estimated. */
const KNOWN_FROM = 0.05;
/** Duration from which the time left is in minutes, in ms. */
const MINUTES_FROM = 90_000;
/** Time between two lines where there is no terminal, in ms. */
const LINE_EVERY_MS = 10_000;

/**
 * The time left, as a text.
 *
 * @param share - Share of the work that is done.
 */
function timeLeft(share: number, elapsedMs: number): string {
  if (share < KNOWN_FROM) return 'time left not known yet';
  const ms = (elapsedMs * (1 - share)) / share;
  if (ms >= MINUTES_FROM) return `about ${Math.ceil(ms / 60_000)} min left`;
  return `about ${Math.max(5, 5 * Math.ceil(ms / 5000))} s left`;
}

/** Shows the step of a scenario and the time left, on a terminal. */
export class StepBar {
  readonly #bar: SingleBar | undefined;
  readonly #work: number;
  readonly #since = performance.now();
  #done = 0;
  #name = 'starting';

  /** @param work - Sum of the calls of {@link done}. */
  constructor(work: number) {
    this.#work = work;
    if (!process.stderr.isTTY) return;
    this.#bar = new SingleBar({
      format: '[{bar}] {name}, {left}',
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
    this.#bar.start(work, 0, this.#payload());
  }

  /** Shows that the step `name` starts. */
  step(name: string): void {
    this.#name = name;
    this.#bar?.update(this.#payload());
  }

  /** Counts some of the work. */
  done(work: number): void {
    this.#done += work;
    this.#bar?.update(this.#done, this.#payload());
  }

  /** Clears the line. */
  end(): void {
    this.#bar?.stop();
  }

  #payload(): { name: string; left: string } {
    const share = this.#work === 0 ? 0 : this.#done / this.#work;
    return { name: this.#name, left: timeLeft(share, performance.now() - this.#since) };
  }
}

/** One line that changes: on a terminal in place, elsewhere as a line every 10 s. */
export class LiveLine {
  #last = performance.now();

  show(text: string): void {
    if (process.stderr.isTTY) {
      this.end();
      process.stderr.write(text);
      return;
    }
    if (performance.now() - this.#last < LINE_EVERY_MS) return;
    this.#last = performance.now();
    process.stderr.write(`${text}\n`);
  }

  /** Clears the line. */
  end(): void {
    if (!process.stderr.isTTY) return;
    cursorTo(process.stderr, 0);
    clearLine(process.stderr, 0);
  }
}
