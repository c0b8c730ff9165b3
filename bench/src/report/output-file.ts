import {
  accessSync,
  closeSync,
  constants,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { resolve } from 'node:path';
import { UsageError } from '../command-line/usage-error.ts';

/**
 * The file of a report. It is written at the end and atomically: a failed run leaves no partial
 * file, and keeps the file of an earlier run.
 */
export class OutputFile {
  /** Absolute path with links resolved. */
  readonly path: string;
  /** Temporary file for the new content; undefined for a path that is no file, such as a pipe. */
  readonly #part: string | undefined;

  /**
   * Checks that the file can be written, and changes nothing.
   *
   * @param option - Name of the option that gave the path.
   * @throws UsageError that names the option.
   */
  constructor(option: string, path: string) {
    try {
      const known = statSync(path, { throwIfNoEntry: false });
      if (known?.isDirectory() === true) throw new Error('it is a folder');
      if (known !== undefined) accessSync(path, constants.W_OK);
      this.path = known === undefined ? resolve(path) : realpathSync(path);
      this.#part =
        known === undefined || known.isFile() ? `${this.path}.${process.pid}` : undefined;
      if (this.#part !== undefined) {
        closeSync(openSync(this.#part, 'wx'));
        rmSync(this.#part);
      }
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new UsageError(`--${option}: '${path}' cannot be written: ${code ?? message}`);
    }
  }

  /** Writes the content. */
  write(content: string): void {
    const part = this.#part;
    if (part === undefined) {
      writeFileSync(this.path, content);
      return;
    }
    try {
      writeFileSync(part, content);
      renameSync(part, this.path);
    } catch (error) {
      rmSync(part, { force: true });
      throw error;
    }
  }
}
