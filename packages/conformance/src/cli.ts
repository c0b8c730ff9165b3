import process from 'node:process';
import { main } from './command-line.ts';

const { stderr, stdout } = process;
/** Begins the terminal's line anew. */
const CLEAR = '\r\u001b[K';

stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever read it has had enough: `| head`.
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await main(process.argv.slice(2), {
  out: (text) => {
    if (stderr.isTTY) stderr.write(CLEAR);
    stdout.write(text);
  },
  error: (text) => stderr.write(text),
  progress: stderr.isTTY ? (text) => stderr.write(CLEAR + text) : undefined,
});
