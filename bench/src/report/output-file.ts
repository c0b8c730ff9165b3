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
import { UsageError } from '../usage-error.ts';

/**
 * A file that a report goes to: it is written at the end, whole or not at all, so that a run that fails leaves no half of a
 * report and no empty file, and what was there before stays as it was.
 */
export class OutputFile {
  /** Where it is, whatever links lead there. */
  readonly path: string;
  /** Where it grows; undefined for what is no file, such as a pipe, and is written as it is. */
  readonly #part: string | undefined;

  /**
   * Looks whether it can be written, and changes nothing.
   *
   * @param option - That named it.
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

  /** Writes it. */
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
