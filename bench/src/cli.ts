#!/usr/bin/env node
import process from 'node:process';
import { runCli } from './command-line/run.ts';
import { Interruption } from './harness/interruption.ts';

process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
  // The reader closed the pipe, for example `| head`. The files of `--json` and `--html` are still written.
  if (code === 'EPIPE') return;
  process.stderr.write(`the output cannot be written: ${message}\n`);
  process.exit(1);
});

const interruption = new Interruption();
const code = await runCli(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  stop: interruption.signal,
});
process.exitCode = interruption.exitCode ?? code;
// What was measured when it was stopped would keep the process. What is printed is out first.
if (interruption.exitCode !== undefined) process.stdout.write('', () => process.exit());
