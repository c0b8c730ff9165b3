// The tool counts in a process of its own: coverage would count the test runner, too.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

function calls(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const command = ['--conditions=@ws/source', '--import', 'tsx', 'tools/calls.ts', ...args];
  return spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' });
}

describe('pnpm long calls', () => {
  it('counts each walk in our packages and in ws', () => {
    const rows = JSON.parse(calls('--json').stdout) as {
      walk: string;
      ours: { calls: number; functions: number; files: number };
      ws: { calls: number };
    }[];
    expect(rows.map(({ walk }) => walk)).toEqual(['echo', 'send', 'upgrade', 'dial']);
    for (const { ours, ws } of rows) {
      expect(ours.calls).toBeGreaterThanOrEqual(ours.functions);
      expect(ours.functions).toBeGreaterThan(ours.files);
      // `ws` from npm is pinned. A step that ran twice, or not at all, shows here.
      expect(ws.calls).toBeGreaterThanOrEqual(8);
      expect(ws.calls).toBeLessThan(40);
    }
  });

  it('lists the functions of a walk in order of count', () => {
    const lines = calls('--list', 'send').stdout.trimEnd().split('\n');
    const total = lines.pop()!;
    const counts = lines.map((line) => Number(/^ *(\d+) {2}\S/.exec(line)![1]));
    expect(counts).toEqual(counts.toSorted((a, b) => b - a));
    expect(lines.some((line) => /^ *1 {2}send +packages\/conn\/src\/conn\.ts$/.test(line))).toBe(
      true,
    );
    const sum = counts.reduce((a, b) => a + b, 0);
    expect(total).toContain(`/ ${counts.length} / ${sum}: files / functions / calls`);
  });

  it('names the walks when there is none of that name', () => {
    expect(calls('--list', 'open')).toMatchObject({
      status: 2,
      stderr: 'no walk open; the walks are echo, send, upgrade, dial\n',
    });
  });
});
