// Counts the calls of named functions by V8's precise coverage.
import { Session } from 'node:inspector/promises';
import { relative } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** One function and how often it ran. */
export interface Calls {
  /** Relative to the root of the workspace or, for `ws`, to its package. */
  readonly file: string;
  readonly name: string;
  readonly count: number;
}

/** Selects the scripts of one library: returns the file that is printed, or undefined. */
export type FileOf = (url: string) => string | undefined;

/** The sources of our packages. */
export const ourFile: FileOf = (url) => {
  if (!url.startsWith('file:')) return undefined;
  const file = relative(process.cwd(), fileURLToPath(url)).replaceAll('\\', '/');
  return /^packages\/[^/]+\/src\//.test(file) ? file : undefined;
};

/** The sources of `ws` from npm. */
export const wsFile: FileOf = (url) => /\/node_modules\/ws\/(lib\/[^?]+)/.exec(url)?.[1];

/** Counts the calls that run between {@link reset} and {@link take}. */
export class CallCounter {
  readonly #session = new Session();

  async start(): Promise<void> {
    this.#session.connect();
    await this.#session.post('Profiler.enable');
    await this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  }

  /** Forgets all calls until now. */
  async reset(): Promise<void> {
    await this.#session.post('Profiler.takePreciseCoverage');
  }

  /**
   * Returns the functions that have run since the last call of `take` or `reset`, in order of count.
   * A function without a name is not counted, nor is what V8 or the loader names (`<…>`, `__name`).
   */
  async take(fileOf: FileOf): Promise<Calls[]> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage');
    const calls: Calls[] = [];
    for (const { url, functions } of result) {
      const file = fileOf(url);
      if (file === undefined) continue;
      for (const { functionName: name, ranges } of functions) {
        const { count } = ranges[0]!;
        if (count > 0 && name !== '' && !/^<|^__/.test(name)) calls.push({ file, name, count });
      }
    }
    return calls.toSorted((a, b) => b.count - a.count || (a.file < b.file ? -1 : 1));
  }

  stop(): void {
    this.#session.disconnect();
  }
}
