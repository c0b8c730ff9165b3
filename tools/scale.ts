// Writes the tables of the model into docs/scale.md. With `--measure`, measures the constants of the
// model on this machine instead, with 10,000 connections, and compares them with the page.
import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { measure } from './scale/measure.ts';
import { bytes, CONSTANTS, type Constant, rounded } from './scale/model.ts';
import { withTables } from './scale/page.ts';

const PAGE = 'docs/scale.md';
/** A constant that differs by more than this factor is marked, and the exit code is 1. */
const FACTOR = 2;

const { values } = parseArgs({ options: { measure: { type: 'boolean' } } });
if (values.measure === true) await compare();
else writeFileSync(PAGE, withTables(readFileSync(PAGE, 'utf8')));

async function compare(): Promise<void> {
  const measured = await measure();
  for (const [name, { value, unit }] of Object.entries<Constant>(CONSTANTS)) {
    const now = measured[name as keyof typeof measured];
    if (now === undefined) {
      console.log(`${name.padEnd(13)} not measured: redis-server is missing`);
      continue;
    }
    const text = (figure: number): string =>
      unit === 'bytes' ? bytes(figure) : `${rounded(figure)} µs`;
    const far = now > value * FACTOR || now < value / FACTOR;
    console.log(
      `${name.padEnd(13)} ${text(value)} on the page, ${text(now)} here${far ? ' !' : ''}`,
    );
    if (far) process.exitCode = 1;
  }
}
