import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { LOADER } from '@ws/tests/loader';
import { afterEach, describe, expect, it } from 'vitest';
import { runClientSuite, runServerSuite } from '../../src/index.ts';

const command = (name: string): string[] => [
  process.execPath,
  ...LOADER,
  join(import.meta.dirname, `${name}.ts`),
];

const running: ChildProcess[] = [];
afterEach(async () => {
  for (const child of running.splice(0)) {
    child.kill();
    await once(child, 'exit');
  }
});

// Tests the programs of the workflow without the Autobahn container.
describe('the programs for the Autobahn suite', () => {
  it('echo as a client', async () => {
    const report = await runClientSuite(command('echo-client'), {
      only: ['1.1.*', '1.2.*', '8.2.*', '12.1.*'],
    });
    expect(report.results.filter(({ verdict }) => verdict !== 'pass')).toEqual([]);
    expect(report.results.length).toBeGreaterThan(25);
  });

  it('echo as a server', async () => {
    const [program = '', ...args] = command('echo-server');
    const child = spawn(program, [...args, '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    running.push(child);
    const [url] = await once(child.stdout.setEncoding('utf8'), 'data');
    const report = await runServerSuite(String(url).trim(), { only: ['1.1.*', '9.1.7', '12.1.*'] });
    expect(report.results.filter(({ verdict }) => verdict !== 'pass')).toEqual([]);
    expect(report.results.length).toBeGreaterThan(25);
  });

  it.each([
    ['OK', 'OK', 0],
    ['INFORMATIONAL', 'OK', 0],
    ['FAILED', 'OK', 1],
    ['NON-STRICT', 'OK', 1],
    ['OK', 'WRONG CODE', 1],
  ])('judge a case with behavior %s and closing %s', (behavior, behaviorClose, code) => {
    const folder = mkdtempSync(join(tmpdir(), 'autobahn-'));
    const file = join(folder, 'index.json');
    writeFileSync(file, JSON.stringify({ ours: { '1.1.1': { behavior, behaviorClose } } }));
    const [program = '', ...args] = command('judge');
    const { status, stdout } = spawnSync(program, [...args, file], { encoding: 'utf8' });
    rmSync(folder, { recursive: true });
    expect(stdout).toContain(`ours: 1 cases, ${code} not good`);
    expect(status).toBe(code);
  });

  it('match the programs in the workflow', () => {
    const root = join(import.meta.dirname, '../../..');
    const workflow = readFileSync(join(root, '.github/workflows/autobahn.yml'), 'utf8');
    const folder = 'conformance/test/autobahn';
    for (const name of ['echo-server.ts', 'echo-client.ts', 'judge.ts']) {
      expect(workflow).toContain(`${folder}/${name}`);
    }
    for (const name of ['fuzzingclient.json', 'fuzzingserver.json']) {
      expect(workflow).toContain(`/config/${name}`);
      const config = JSON.parse(readFileSync(join(import.meta.dirname, name), 'utf8'));
      expect(config.cases).toEqual(['*']);
      expect(config['exclude-cases']).toEqual([]);
    }
  });
});
