import { createReadStream, fstatSync } from 'node:fs';
import process from 'node:process';
import { ExitCode } from './failure.ts';
import { main } from './main.ts';

const { stdout, stderr } = process;

/** Node makes an empty stream of a folder. This one fails with EISDIR. */
function isFolder(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isDirectory();
  } catch {
    // Closed.
    return false;
  }
}

const interruption = new AbortController();

function interrupt(): void {
  // The second one does not wait for the peer.
  if (interruption.signal.aborted) process.exit(ExitCode.Interrupted);
  interruption.abort();
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
// A stderr that fails has no place for a message about it.
stderr.on('error', () => {});

const code = await main(process.argv.slice(2), {
  stdin: isFolder(0) ? createReadStream('', { fd: 0 }) : process.stdin,
  stdout,
  stderr,
  env: process.env,
  interrupted: interruption.signal,
  interrupt,
});
// stdin may still be open, so the process would not end by itself. What was written is out first.
for (const stream of [stdout, stderr]) {
  await new Promise<void>((resolve) => {
    if (stream.writableLength === 0 || stream.destroyed) resolve();
    else stream.write('', () => resolve());
  });
}
process.exit(code);
