import process from 'node:process';
import fc from 'fast-check';
import { commandLine } from '../kit/command-line.ts';
import { turn } from '../kit/index.ts';
import { anyCommands, anySetup } from './commands.ts';
import { runCommands } from './model.ts';

const usage = `usage: pnpm long pairs [--minutes <n>] [--seed <n>] [--path <path>]

  --minutes  duration; default: 10
  --seed     repeats an earlier run; default: a new one, printed
  --path     starts at a sequence of that run, as the report of a failure prints it
  --help     this text

Runs random sequences of operations on both ends of a connection, and compares the outcome with a model.
Exit code 0: the model holds. 1: it does not. 2: wrong usage.`;

const { values, number, refuse } = commandLine(usage, {
  minutes: { type: 'string', default: '10' },
  seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  path: { type: 'string', default: '' },
});
const seed = number('seed');
const minutes = number('minutes');
const { path } = values;
if (!/^(?:\d+(?::\d+)*)?$/.test(path)) refuse(`--path: not a path of a report: ${path}`);
console.log(`seed ${seed}`);

const uncaught: unknown[] = [];
const trap = (error: unknown): void => void uncaught.push(error);
process.on('uncaughtException', trap).on('unhandledRejection', trap);

const law = fc.asyncProperty(anySetup, anyCommands, async (setup, commands) => {
  await runCommands(setup, commands);
  await turn();
  const errors = uncaught.splice(0);
  if (errors.length > 0) throw new AggregateError(errors, `uncaught: ${errors.join(', ')}`);
});
const { failed, numRuns, counterexample, counterexamplePath, errorInstance } = await fc.check(law, {
  seed,
  path,
  numRuns: Number.MAX_SAFE_INTEGER,
  interruptAfterTimeLimit: minutes * 60_000,
});
console.log(`${numRuns} sequences`);
if (failed) {
  console.log(`\n${(errorInstance as Error).stack}\n\n${fc.stringify(counterexample)}\n`);
  console.log(`repeat: pnpm long pairs --seed ${seed} --path ${counterexamplePath}`);
  process.exitCode = 1;
}
