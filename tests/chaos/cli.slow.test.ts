import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { LOADER } from '../kit/loader.ts';

const cli = fileURLToPath(new URL('./cli.ts', import.meta.url));

function run(...args: string[]): Promise<{ code: unknown; out: string; error: string }> {
  const flags = [...LOADER, cli];
  return new Promise((resolve) => {
    execFile(process.execPath, [...flags, ...args], (failure, out, error) =>
      resolve({ code: failure?.code ?? 0, out, error }),
    );
  });
}

it('pnpm long chaos repeats one connection of a seed', async () => {
  const { code, out } = await run('--seed', '7', '--connection', '3', '--times', '5');
  expect(out).toMatch(/^seed 7\n/);
  expect(out).toMatch(/\d+ messages, \d+\/s, 5 connections/);
  expect(out).toContain('connection 3: client ');
  expect(code).toBe(0);
});

it('pnpm long chaos rejects a bad number', async () => {
  const { code, error } = await run('--messages', 'many');
  expect(code).toBe(2);
  expect(error).toContain('--messages: not a valid number: many');
  expect(error).toContain('usage: pnpm long chaos');
});
