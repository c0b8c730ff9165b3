#!/usr/bin/env node
import process from 'node:process';
import { main } from './command-line.ts';

process.exitCode = await main(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  error: (text) => process.stderr.write(text),
});
