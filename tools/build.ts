// The build of `pnpm pack-all`: all packages, two at once, with a line for each. Their output is printed after a failure.
import { spawn } from 'node:child_process';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { pnpm } from './run.ts';

const options = ['--recursive', '--workspace-concurrency=2', '--reporter=append-only'];
const [program, ...args] = pnpm(...options, 'run', 'build');
const child = spawn(program, args, {
  stdio: ['ignore', 'pipe', 'pipe'],
  shell: process.platform === 'win32',
});
const output: string[] = [];
child.stderr.on('data', (chunk: Buffer) => void output.push(String(chunk)));
const code = new Promise<number | null>((resolve) => void child.once('close', resolve));
const began = new Map<string, number>();
// `packages/conn build$ tsup`, its output, `packages/conn build: Done`.
for await (const line of createInterface({ input: child.stdout })) {
  output.push(line);
  const [, folder = '', mark] = /^(\S+) build(\$|: Done)/.exec(line) ?? [];
  if (mark === '$') began.set(folder, performance.now());
  if (mark !== ': Done') continue;
  const seconds = (performance.now() - began.get(folder)!) / 1000;
  console.log(`built ${folder} in ${seconds.toFixed(1)} s`);
}
if ((await code) !== 0) {
  console.error(output.join('\n'));
  process.exitCode = 1;
}
