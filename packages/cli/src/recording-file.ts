import { close, fchmod, fstat, open, statSync, write } from 'node:fs';
import { Writable } from 'node:stream';
import { ExitCode, Failure, inputOutput } from './failure.ts';

/** Only the user of `wsx` may read a recording. */
const MODE = 0o600;

/**
 * Checks that a recording replaces nothing.
 *
 * @returns The flag for opening the file.
 * @throws Failure, exit code 8, when the file has content and `replaces` is not set.
 */
export function flagOf(file: string, replaces: boolean): 'w' | 'wx' {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) return 'wx';
  if (!found.isFile() || found.size === 0 || replaces) return 'w';
  throw new Failure(ExitCode.InputOutput, `${file}: the file exists`, '--force replaces it');
}

/**
 * Opens a file that only its owner may read.
 *
 * @param tail - Ends the file after each write, and the next write overwrites it:
 *   the file is whole also when the process is killed.
 * @throws Failure as {@link flagOf}. The stream emits 'error' when the file cannot be written.
 */
export function openRecording(file: string, replaces: boolean, tail: string): Writable {
  const flag = flagOf(file, replaces);
  const end = Buffer.from(tail);
  let descriptor = -1;
  /** The place of the next write; null at the end of the file, and for a pipe: its tail comes last. */
  let position = tail === '' ? null : 0;
  function put(bytes: Buffer, at: number | null, done: (error?: Error | null) => void): void {
    write(descriptor, bytes, 0, bytes.length, at, (error, written) => {
      if (error !== null) return done(error);
      if (written === bytes.length) return done();
      put(bytes.subarray(written), at === null ? null : at + written, done);
    });
  }
  return new Writable({
    construct(done) {
      open(file, flag, MODE, (error, opened) => {
        if (error !== null) return done(error);
        descriptor = opened;
        // A replaced file has kept its mode. A pipe or a device, such as /dev/null, is not ours.
        fstat(descriptor, (failure, found) => {
          if (failure !== null) return done(failure);
          if (!found.isFile()) {
            position = null;
            return done();
          }
          fchmod(descriptor, MODE, () => done());
        });
      });
    },
    writev(chunks, done) {
      const all = chunks.map(({ chunk }) => chunk as Buffer);
      const bytes = Buffer.concat(position === null ? all : [...all, end]);
      put(bytes, position, done);
      if (position !== null) position += bytes.length - end.length;
    },
    final(done) {
      if (position === null) put(end, null, done);
      else done();
    },
    destroy(error, done) {
      if (descriptor === -1) return done(error);
      close(descriptor, (closeError) => done(error ?? closeError));
    },
  });
}

/** @throws Failure when the file is not written to its end. */
export function finish(stream: Writable, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(inputOutput(file, error));
    if (stream.errored !== null) return failed(stream.errored);
    stream.once('error', failed).once('close', resolve);
    stream.end();
  });
}
