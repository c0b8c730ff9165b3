// Runs the README's `start` and waits for its page: CI does this on Windows and macOS.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import process from 'node:process';

const { packageManager } = JSON.parse(readFileSync('package.json', 'utf8'));
const [pnpm] = packageManager.split('+');
const child = spawn('npx', ['-y', pnpm, 'start'], {
  stdio: ['ignore', 'pipe', 'inherit'],
  env: { ...process.env, PORT: '0' },
  shell: process.platform === 'win32',
});
let output = '';
child.stdout.setEncoding('utf8').on('data', (text) => {
  output += text;
  const url = /http:\S+/.exec(output)?.[0];
  if (url !== undefined) child.emit('page', url);
});
const [url] = await Promise.race([
  once(child, 'page'),
  once(child, 'exit').then(([code]) => Promise.reject(new Error(`ended with ${code}\n${output}`))),
]);
const { status } = await fetch(url);
console.log(`${url}: ${status}`);
child.kill();
process.exit(status === 200 ? 0 : 1);
