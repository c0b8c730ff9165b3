import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import { type Finding, nameOf } from './finding.ts';
import type { Progress } from './protocol.ts';
import { type Bounds, fuzz, type SessionOptions } from './session.ts';
import type { TargetList } from './target.ts';

const usage = `usage: pnpm fuzz [target...] [--minutes <n>] [--seed <n>] [--keep]
       pnpm fuzz <target> --replay <file>
       pnpm fuzz --list

  target      one or more of those that --list names; default: all
  --minutes   how long each target is fed; default: 10 for those that are named, else a sixth
  --seed      of an earlier run, to repeat it; default: a new one, which is printed
  --keep      what led somewhere new joins fuzz/corpus, made as small as it goes
  --replay    run one input, such as the file that a finding was saved to, and nothing else
  --list      say what there is
  --help      this text

It ends with 0 when nothing was found, with 1 when something was, with 2 when it was called wrongly.`;

function refuse(why: string): never {
  console.error(`${why}\n\n${usage}`);
  process.exit(2);
}

function parse() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        minutes: { type: 'string' },
        seed: { type: 'string' },
        keep: { type: 'boolean', default: false },
        replay: { type: 'string' },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    return { ...values, names: positionals };
  } catch (error) {
    return refuse((error as Error).message);
  }
}

/** A number from an option, or the end of the process with the usage. */
function number(name: string, text: string, form: RegExp): number {
  return form.test(text) ? Number(text) : refuse(`--${name}: not a number that it takes: ${text}`);
}

/** A line that is written over on a terminal, and a line every ten seconds elsewhere. */
class Ticker {
  #last = performance.now();
  #ticks = 0;

  show(line: string): void {
    const live = process.stdout.isTTY;
    if (!live && this.#ticks > 0 && performance.now() - this.#last < 10_000) return;
    this.#ticks++;
    this.#last = performance.now();
    process.stdout.write(live ? `\r\x1b[K${line}` : `${line}\n`);
  }

  clear(): void {
    if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
  }
}

function describe(name: string, { executions, edges, inputs }: Progress, seconds: number): string {
  const speed = Math.round(executions / Math.max(seconds, 0.001));
  const figures = [`${executions} executions`, `${speed}/s`, `${edges} edges`, `${inputs} inputs`];
  return `${name.padEnd(18)} ${figures.join(', ')}`;
}

/** Writes the input to a file, and says what it breaks and how to see that again. */
function save(name: string, { input, text, sign }: Finding, seed: number): void {
  const folder = new URL(`../../.out/fuzz/${name}/`, import.meta.url);
  mkdirSync(folder, { recursive: true });
  const file = new URL(`${nameOf(input)}.bin`, folder);
  writeFileSync(file, input);
  const path = relative(process.cwd(), file.pathname);
  console.log(`${name}: found: ${sign}\n${text}\n`);
  console.log(
    `seed ${seed}, ${input.length} bytes: ${Buffer.from(input).toString('hex').slice(0, 400)}`,
  );
  console.log(`again: pnpm fuzz ${name} --replay ${path}`);
}

/** What all runs of a command have in common. */
type Ground = Pick<SessionOptions, 'list' | 'seed' | 'bounds'>;

/** Feeds a target. True when nothing was found. */
async function feed(
  ground: Ground,
  target: string,
  seconds: number,
  keep: boolean,
): Promise<boolean> {
  const ticker = new Ticker();
  const started = performance.now();
  const elapsed = (): number => (performance.now() - started) / 1000;
  const onProgress = (progress: Progress): void =>
    ticker.show(describe(target, progress, elapsed()));
  const { progress, finding, kept } = await fuzz({ ...ground, target, seconds, keep, onProgress });
  ticker.clear();
  const end = kept === undefined ? '' : `, ${kept} files kept`;
  console.log(`${describe(target, progress, Math.min(elapsed(), seconds))}${end}`);
  if (finding !== undefined) save(target, finding, ground.seed);
  return finding === undefined;
}

/** Runs one input. True when it breaks nothing. */
async function replay(ground: Ground, target: string, file: string): Promise<boolean> {
  let only: Uint8Array;
  try {
    only = Uint8Array.from(readFileSync(file));
  } catch (error) {
    return refuse((error as Error).message);
  }
  const { finding } = await fuzz({ ...ground, target, only });
  console.log(finding?.text ?? `${target}: nothing found in ${only.length} bytes`);
  return finding === undefined;
}

/**
 * Does what the arguments of the process say.
 *
 * @param list - The module that lists the targets: a {@link TargetList}.
 * @returns The code to exit with.
 */
export async function command(list: URL, bounds?: Bounds): Promise<number> {
  const { names, minutes, keep, replay: file, ...given } = parse();
  const { targets }: TargetList = await import(list.href);
  const known = targets.map(({ name }) => name);
  if (given.help) console.log(usage);
  else if (given.list) for (const { name, says } of targets) console.log(name.padEnd(18), says);
  if (given.help || given.list) return 0;

  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) refuse(`no such target: ${unknown}`);
  const seed = number('seed', given.seed ?? String(Date.now() % 2 ** 31), /^\d{1,10}$/);
  const ground: Ground = { list: list.href, seed, ...(bounds && { bounds }) };
  if (file !== undefined) {
    const [only, ...more] = names;
    if (only === undefined || more.length > 0) refuse('--replay needs the name of one target');
    return (await replay(ground, only, file)) ? 0 : 1;
  }
  const each = minutes ?? (names.length > 0 ? '10' : '0.17');
  // Above zero: no time at all would find nothing, and say so.
  const seconds = 60 * number('minutes', each, /^(?=.*[1-9])\d{1,5}(?:\.\d+)?$/);
  console.log(`seed ${seed}, ${each} min for each target`);
  let clean = true;
  for (const name of names.length > 0 ? names : known) {
    clean = (await feed(ground, name, seconds, keep)) && clean;
  }
  return clean ? 0 : 1;
}
