#!/usr/bin/env node
// The shell of `npx pnpm ...` in this folder (.npmrc names it). npx sends SIGINT and SIGTERM to its shell only. Debian's
// sh ignores the first and dies of the second, while the command below it continues. This shell forwards both.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

const command = process.argv.at(-1) ?? '';
const pnpm = /^['"]?pnpm\b/.test(command);
const child = spawn('sh', ['-c', pnpm ? `exec ${command}` : command], { stdio: 'inherit' });

let forwarded = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    if (forwarded) return;
    forwarded = true;
    // Always SIGINT: a signal to the process group reaches pnpm too, and pnpm dies of its second SIGTERM.
    child.kill(pnpm ? 'SIGINT' : signal);
  });
}
child.on('error', (error) => {
  console.error(error.message);
  process.exitCode = 127;
});
child.on('exit', (code, signal) => {
  process.exitCode = code ?? 128 + constants.signals[signal];
});
