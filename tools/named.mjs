#!/usr/bin/env node
// `pnpm check [name]...`, `pnpm long [name]`: checks the names before it installs what `tools/ready.mjs` says, which takes
// minutes in a fresh clone. It runs before anything is installed, so it reads the names in the source of the table.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import process from 'node:process';

const NEEDS = { check: [], long: ['tests...', 'fuzz...'] };

const [command, ...args] = process.argv.slice(2);
const program = `tools/${command}.ts`;
const source = readFileSync(program, 'utf8');
const table = /^const (?:CHECKS|LONG)\b[^]*?^\};/m.exec(source)[0];
const names = [...table.matchAll(/^ {2}'?([\w-]+)'?: (?:\{|[\w.]+\()/gm)].map(([, name]) => name);
// The other arguments of `long` are those of the suite.
const given = command === 'long' ? args.slice(0, 1) : args;
const unknown = given.find((name) => !name.startsWith('--') && !names.includes(name));
if (unknown !== undefined) {
  console.error(`unknown: ${unknown}; there are ${names.join(', ')}`);
  process.exit(2);
}
run('tools/ready.mjs', ...NEEDS[command]);
run('--import', 'tsx', program, ...args);

function run(...words) {
  const { status, signal } = spawnSync(process.execPath, words, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? (signal === 'SIGINT' ? 130 : 1));
}
