import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import type { Conn } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { whenOver } from '@ws/tests';
import { expect } from 'vitest';
import type { Io } from '../src/io.ts';
import { main } from '../src/main.ts';

/** A run of `wsx` in this process. */
export interface Run {
  readonly stdin: PassThrough;
  readonly stdout: PassThrough;
  /** The exit code. */
  readonly code: Promise<number>;
  /** As Ctrl-C. */
  readonly interrupt: () => void;
  /** What was printed so far. */
  readonly out: () => Buffer;
  readonly err: () => string;
  /** Resolves when stdout or stderr has the text. */
  readonly until: (text: string) => Promise<void>;
}

/** What a finished run has printed. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

type Input = string | Uint8Array | Readable | undefined;

/** Starts `wsx`. stdin stays open. */
export function start(args: readonly string[], more: Partial<Io> = {}): Run {
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const printed: Buffer[] = [];
  let errors = '';
  let wake = (): void => {};
  if (more.stdout === undefined) {
    stdout.on('data', (chunk: Buffer) => {
      printed.push(chunk);
      wake();
    });
  }
  stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
    wake();
  });
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  const code = main(args, {
    stdin,
    stdout,
    stderr,
    env: { NO_COLOR: '1' },
    interrupted: interruption.signal,
    interrupt,
    ...more,
  });
  const out = (): Buffer => Buffer.concat(printed);
  return {
    stdin,
    stdout,
    code,
    interrupt,
    out,
    err: () => errors,
    async until(text) {
      let isOver = false;
      void code.then(() => {
        isOver = true;
        wake();
      });
      while (!out().includes(text) && !errors.includes(text)) {
        if (isOver) throw new Error(`ended without ${text}: ${out().toString()}${errors}`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

/** Runs `wsx` to its end. A client without `--wait` closes at the end of stdin. */
export async function wsx(args: readonly string[], input?: Input): Promise<Ran> {
  // The echo servers of the tests answer before they close.
  const isDial = args[0]?.startsWith('ws') === true && !args.includes('--wait');
  const run = start(isDial ? [...args, '--wait', '0'] : args);
  if (input instanceof Readable) input.pipe(run.stdin);
  else run.stdin.end(input ?? '');
  const code = await run.code;
  // stderr is a stream: its last chunk comes in a later turn.
  await new Promise((resolve) => setImmediate(resolve));
  return { code, out: run.out().toString(), err: run.err() };
}

/** A temporary folder. It is removed after the test. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'wsx-'));
  whenOver(() => rmSync(path, { recursive: true }));
  return path;
}

/** A file in a folder of its own. It is removed after the test. */
export function fileOf(text: string | Uint8Array, name = 'a.jsonl'): string {
  const path = join(folder(), name);
  writeFileSync(path, text);
  return path;
}

/** Runs `wsx`, which has to end with this exit code and words on stderr. */
export async function fails(args: readonly string[], code: number, words: string): Promise<void> {
  const ran = await wsx(args);
  expect(ran.err).toContain(words);
  expect(ran.code).toBe(code);
}

/** A server whose connections `handler` gets. It ends with the test. */
export async function server(
  handler: (conn: Conn) => unknown,
  options: Parameters<typeof serve>[0] = {},
): Promise<string> {
  const running = await serve(
    { port: 0, host: '127.0.0.1', readLimit: false, report: () => {}, ...options },
    handler,
  );
  whenOver(() => running.close({ timeout: 1 }));
  return running.url;
}

/** A server that sends each message back. */
export function echo(options: Parameters<typeof serve>[0] = {}): Promise<string> {
  return server((conn) => conn.receive((message) => conn.send(message)), options);
}

/** Resolves when a count has not changed for 20 turns of a timer. A busy machine makes turns longer, not fewer. */
export async function stalled(count: () => number): Promise<void> {
  let last = -1;
  for (let turns = 0; turns < 20; turns++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (count() !== last) turns = 0;
    last = count();
  }
}
