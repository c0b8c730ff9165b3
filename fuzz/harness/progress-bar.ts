import { SingleBar } from 'cli-progress';
import type { Progress } from './protocol.ts';

/** Interval of the progress lines when stderr is not a terminal. */
const LINE_MS = 10_000;

/** Progress of one target on stderr: a bar on a terminal, otherwise a line every ten seconds. */
export class ProgressBar {
  readonly #bar: SingleBar;
  readonly #started = performance.now();

  constructor(target: string, seconds: number) {
    this.#bar = new SingleBar({
      format: `${target.padEnd(18)} [{bar}] {percentage} % | {figures}`,
      barCompleteChar: '#',
      barIncompleteChar: '.',
      barsize: 24,
      hideCursor: true,
      clearOnComplete: true,
      noTTYOutput: true,
      notTTYSchedule: LINE_MS,
    });
    this.#bar.start(seconds, 0, { figures: '' });
  }

  /** Seconds since the start. */
  get seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  show(progress: Progress): void {
    this.#bar.update(this.seconds, { figures: figuresOf(progress, this.seconds) });
  }

  end(): void {
    this.#bar.stop();
  }
}

/** Formats what a run did in `seconds`. */
export function figuresOf({ executions, edges, inputs }: Progress, seconds: number): string {
  const rate = Math.round(executions / Math.max(seconds, 0.001));
  return `${executions} executions, ${rate}/s, ${edges} edges, ${inputs} inputs`;
}
