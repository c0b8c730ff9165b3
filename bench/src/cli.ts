#!/usr/bin/env node
import process from 'node:process';
import { runCli } from './command-line/run.ts';

process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
  // The reader closed the pipe, for example `| head`. The files of `--json` and `--html` are still written.
  if (code === 'EPIPE') return;
  process.stderr.write(`the output cannot be written: ${message}\n`);
  process.exit(1);
});

process.exitCode = await runCli(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
});
