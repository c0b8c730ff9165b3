import { runCli } from './harness/cli.ts';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader closed the pipe, for example `| head`. The files of a finding are still written.
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await runCli(process.argv.slice(2), new URL('./targets.ts', import.meta.url));
