import process from 'node:process';
import { ExitCode } from './failure.ts';
import { main } from './main.ts';

const { stdin, stdout, stderr } = process;

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
  stdin,
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
