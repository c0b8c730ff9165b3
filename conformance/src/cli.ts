import process from 'node:process';
import { main } from './command-line.ts';

const { stderr, stdout } = process;
/** Clears the current line of the terminal. */
const CLEAR = '\r\u001b[K';

stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader closed the pipe, for example `| head`.
  if (error.code === 'EPIPE') return;
  stderr.write(`ws-conform: ${error.message}\n`);
  process.exit(2);
});

process.exitCode = await main(process.argv.slice(2), {
  out: (text) => {
    if (stderr.isTTY) stderr.write(CLEAR);
    stdout.write(text);
  },
  error: (text) => stderr.write(text),
  progress: stderr.isTTY ? (text) => stderr.write(CLEAR + text) : undefined,
});
