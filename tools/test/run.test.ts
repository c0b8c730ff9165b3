import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { runTasks, type Task } from '../run.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'run '));
  vi.spyOn(console, 'log').mockImplementation(() => {});
  vi.spyOn(process.stdout, 'write').mockImplementation(() => true);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

it('runs each task once, after the one that it names', async () => {
  const file = join(folder, 'order');
  const task = (name: string, after?: string): Task => {
    const program = `require('fs').appendFileSync(${JSON.stringify(file)}, '${name} ')`;
    const row = { what: name, commands: [[process.execPath, '-e', program]] as const };
    return after === undefined ? row : { ...row, after };
  };
  const tasks = { first: task('first'), second: task('second', 'first') };
  await runTasks(tasks, ['second', 'first', 'first'], 2);
  expect(await readFile(file, 'utf8')).toBe('first second ');
});

it('collects the output of tasks that run at once, except of a live one', async () => {
  const write = vi.spyOn(process.stdout, 'write');
  const task = (text: string): Task => ({
    what: '',
    commands: [[process.execPath, '-e', `process.stdout.write('${text}')`]],
  });
  const tasks = { live: { ...task(''), live: true }, other: task('text') };
  await runTasks(tasks, ['live', 'other'], 2);
  expect(write.mock.calls.map(([text]) => text)).toEqual(['== other\ntext']);
});

it('kills a program that does not end in its time, and reports it', async () => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => {});
  const loop = [process.execPath, '-e', 'for (;;);'] as const;
  const task: Task = { what: 'a loop', commands: [loop], minutes: 0.005 };
  await runTasks({ loop: task }, ['loop']);
  expect(error.mock.calls.flat()).toEqual([
    'killed, at most 0.005 minutes: -e for (;;);',
    'failed: loop',
  ]);
  expect(process.exitCode).toBe(1);
  process.exitCode = undefined;
});
