import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { type Finding, hashOf } from './finding.ts';
import { lawNames, runLaws } from './laws.ts';
import {
  type Command,
  type CommandNames,
  parseCommand,
  UsageError,
  usage,
} from './parse-command.ts';
import { figuresOf, ProgressBar } from './progress-bar.ts';
import type { Job } from './protocol.ts';
import { runInWorker } from './supervisor.ts';
import type { TargetList } from './target.ts';

/**
 * Runs the command that the arguments ask for.
 *
 * @param args - Arguments of the command line, without the program's name.
 * @param list - URL of the module that exports the targets: a {@link TargetList}.
 * @returns Exit code: 0 if nothing was found, 1 for a finding, 2 for invalid arguments.
 */
export async function runCli(args: readonly string[], list: URL): Promise<number> {
  const { targets }: TargetList = await import(list.href);
  const names: CommandNames = { targets: targets.map(({ name }) => name), laws: lawNames() };
  let command: Command;
  try {
    command = parseCommand(args, names);
  } catch (error) {
    if (error instanceof UsageError) return refuse(error.message);
    throw error;
  }
  if (command.kind === 'help') {
    console.log(usage(names));
    return 0;
  }
  if (command.kind === 'list') {
    for (const { name, description } of targets) console.log(name.padEnd(18), description);
    return 0;
  }
  if (command.kind === 'laws') {
    const { laws, budget, seed, against } = command;
    return runLaws(laws, budget, seed, against);
  }
  if (command.kind === 'replay') {
    const { target, file } = command;
    let input: Uint8Array;
    try {
      input = Uint8Array.from(readFileSync(file));
    } catch (error) {
      return refuse(`--replay: ${(error as Error).message}`);
    }
    return (await replay(list, target, input)) ? 0 : 1;
  }
  const { seed, minutes, keep } = command;
  console.log(`seed ${seed}, ${minutes} min for each target`);
  let clean = true;
  for (const target of command.targets) {
    clean = (await fuzz(list, target, seed, 60 * minutes, keep)) && clean;
  }
  return clean ? 0 : 1;
}

function refuse(message: string): number {
  console.error(`${message}; see --help`);
  return 2;
}

/** @returns Whether nothing was found. */
async function fuzz(
  list: URL,
  target: string,
  seed: number,
  seconds: number,
  keep: boolean,
): Promise<boolean> {
  const bar = new ProgressBar(target, seconds);
  let { progress, finding, inputs } = await runInWorker({
    list: list.href,
    target,
    job: { kind: 'search', seed, seconds },
    onProgress: (now) => bar.show(now),
  });
  bar.end();
  let kept = '';
  if (keep && finding === undefined) {
    const job: Job = { kind: 'select', found: inputs };
    ({ finding, inputs } = await runInWorker({ list: list.href, target, job }));
    if (finding === undefined) kept = `, ${inputs.length} inputs kept`;
  }
  const figures = figuresOf(progress, Math.min(bar.seconds, seconds));
  console.log(`${target.padEnd(18)} ${figures}${kept}`);
  if (finding !== undefined) save(target, finding, seed);
  return finding === undefined;
}

/** Writes the input of a finding to a file, and prints the command that replays it. */
function save(target: string, { input, text, signature }: Finding, seed: number): void {
  const folder = new URL(`../../.out/fuzz/${target}/`, import.meta.url);
  mkdirSync(folder, { recursive: true });
  const file = new URL(`${hashOf(input)}.bin`, folder);
  writeFileSync(file, input);
  const hex = Buffer.from(input).toString('hex').slice(0, 400);
  console.log(`${target}: found: ${signature}\n${text}\n`);
  console.log(`seed ${seed}, ${input.length} bytes: ${hex}`);
  console.log(`replay: pnpm fuzz ${target} --replay ${relative(process.cwd(), file.pathname)}`);
}

/** @returns Whether the input breaks nothing. */
async function replay(list: URL, target: string, input: Uint8Array): Promise<boolean> {
  const { finding } = await runInWorker({
    list: list.href,
    target,
    job: { kind: 'replay', input },
  });
  console.log(finding?.text ?? `${target}: nothing found in ${input.length} bytes`);
  return finding === undefined;
}
