#!/usr/bin/env node
// The shell of `npx pnpm ...` in this folder (.npmrc names it). npx gives its command to a shell, and SIGINT and SIGTERM
// to that shell alone: Debian's sh keeps the first to itself and dies of the second, and what runs below goes on without
// a terminal. This shell hands both on, and its exit code is the command's.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';

const LAST_LINE = '.out/last-line.txt';
const command = process.argv.at(-1) ?? '';
const pnpm = /^['"]?pnpm\b/.test(command);
const test = pnpm && /\b(test|t)\b/.test(command);
const child = spawn('sh', ['-c', pnpm ? `exec ${command}` : command], { stdio: 'inherit' });

let told = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    if (told) return;
    told = true;
    // Always SIGINT: a signal for the whole process group reaches pnpm directly too, and pnpm dies of its second SIGTERM.
    child.kill(pnpm ? 'SIGINT' : signal);
  });
}
child.on('error', (error) => {
  console.error(error.message);
  process.exitCode = 127;
});
child.on('exit', (code, signal) => {
  process.exitCode = code ?? 128 + constants.signals[signal];
  // pnpm ends with ELIFECYCLE when tests fail; the count stays the last line.
  if (test && code !== 0 && existsSync(LAST_LINE)) process.stdout.write(readFileSync(LAST_LINE));
});
