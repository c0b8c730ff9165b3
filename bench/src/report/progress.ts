/** One line on stderr that says how far it is, where a person is watching. */
export class Progress {
  readonly #steps: number;
  readonly #began = performance.now();
  readonly #watched = process.stderr.isTTY;
  #done = 0;

  /** @param steps - How many times {@link step} will be called. */
  constructor(steps: number) {
    this.#steps = steps;
  }

  /** The next step begins, and this is its name. */
  step(name: string): void {
    if (!this.#watched) return;
    const part = this.#done++ / this.#steps;
    const left = (performance.now() - this.#began) * (1 / part - 1);
    const bar = '#'.repeat(Math.round(part * 20)).padEnd(20, '.');
    const eta = part > 0.02 ? `, ${Math.ceil(left / 1000)} s left` : '';
    process.stderr.write(`\r\u001B[K[${bar}] ${name}${eta}`);
  }

  /** Clears the line. */
  end(): void {
    if (this.#watched) process.stderr.write('\r\u001B[K');
  }
}
