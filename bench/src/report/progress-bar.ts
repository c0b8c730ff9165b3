import process from 'node:process';
import { clearLine, cursorTo } from 'node:readline';
import { SingleBar } from 'cli-progress';
import { atExit } from '../harness/ends.ts';

/** Share of the work from which its duration can be estimated. */
const KNOWN_FROM = 0.05;
/** Duration from which the time left is in minutes, in ms. */
const MINUTES_FROM = 90_000;
/** Escapes of a terminal (DECAWM). */
const WRAP = '\u001b[?7h';
const NO_WRAP = '\u001b[?7l';
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

/** Shows each result of a scenario as a line, and on a terminal the current step. */
export class StepBar {
  readonly #bar: SingleBar | undefined;
  readonly #work: number;
  readonly #since = performance.now();
  #shown = (): void => {};
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
      // The process handles Ctrl-C.
      gracefulExit: false,
    });
    this.#shown = atExit(() => this.#bar?.stop());
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

  /** Prints a line with the time left. On a terminal it is above the bar. */
  line(text: string): void {
    const left = this.#done < this.#work ? `, ${this.#payload().left}` : '';
    const line = `${text}${left}\n`;
    if (this.#bar === undefined) return void process.stderr.write(line);
    cursorTo(process.stderr, 0);
    clearLine(process.stderr, 0);
    // The bar has switched off the wrap of long lines.
    process.stderr.write(`${WRAP}${line}${NO_WRAP}`);
  }

  /** Clears the line. */
  end(): void {
    this.#bar?.stop();
    this.#shown();
  }

  #payload(): { name: string; left: string } {
    const share = this.#work === 0 ? 0 : this.#done / this.#work;
    return { name: this.#name, left: timeLeft(share, performance.now() - this.#since) };
  }
}

/** One line that changes: on a terminal in place, elsewhere as a line every 10 s. */
export class LiveLine {
  /** The first line comes after half of the time. */
  #last = performance.now() - LINE_EVERY_MS / 2;

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
