#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { codec } from './scenarios/codec.ts';

const HELP = `ws-bench: what this library costs, next to others, on this machine

usage: ws-bench <scenario> [options]

scenarios
  codec          frames in memory, no socket: decode and encode next to the Receiver and
                 Sender of ws, with and without bufferutil; unmasking next to memcpy

options
  --json         print one JSON document instead of tables
  --quick        a tenth of the batches: a first look, not a figure to quote
  --help         this text
`;

const scenarios: Record<string, (options: { json: boolean; quick: boolean }) => Promise<void>> = {
  codec,
};

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const [name, ...more] = positionals;
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const scenario = name === undefined || more.length > 0 ? undefined : scenarios[name];
  if (scenario === undefined) {
    process.stderr.write(HELP);
    return 2;
  }
  await scenario({ json: values.json, quick: values.quick });
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
