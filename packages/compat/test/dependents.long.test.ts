import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram } from '@ws/tests';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { programs, sameWithWs } from './dependents/compare.ts';

/** They are installed from npm into a folder that is removed afterwards. */
const DEPENDENTS = {
  aedes: '1.2.0',
  jest: '30.5.2',
  jsdom: '26.1.0',
  mqtt: '5.16.0',
  'puppeteer-core': '24.43.1',
  webpack: '5.112.2',
  'webpack-dev-server': '5.2.7',
  ws: '8.23.0',
  'y-websocket': '2.1.0',
  yjs: '13.6.33',
};
const PROGRAMS = ['mqtt', 'puppeteer-core', 'webpack-dev-server', 'jsdom', 'y-websocket-server'];
const NPM_MS = 300_000;

const folder = mkdtempSync(join(tmpdir(), 'ws-dependents-'));

beforeAll(async () => {
  const manifest = { private: true, dependencies: DEPENDENTS };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  cpSync(programs, join(folder, 'dependents'), { recursive: true });
  const install = ['install', '--ignore-scripts', '--no-audit', '--no-fund'];
  await promisify(execFile)('npm', install, { cwd: folder });
}, NPM_MS);

afterAll(() => rmSync(folder, { recursive: true, force: true }), NPM_MS);

describe('a package with ws swapped', () => {
  test.each(PROGRAMS)('%s does what it does with ws', async (name) => {
    const chromium = process.env['CHROMIUM_BIN'] ?? findProgram('chromium');
    await sameWithWs(join(folder, `dependents/more/${name}.mjs`), { CHROMIUM: chromium });
  });
});

test('Jest loads the package by require', async () => {
  const project = join(folder, 'jest');
  mkdirSync(join(project, 'node_modules'), { recursive: true });
  // What an override leaves in node_modules.
  symlinkSync(join(import.meta.dirname, '..'), join(project, 'node_modules/ws'));
  writeFileSync(join(project, 'package.json'), '{}');
  cpSync(join(programs, 'jest.cjs'), join(project, 'ws.test.js'));
  const jest = join(folder, 'node_modules/jest/bin/jest.js');
  await promisify(execFile)(process.execPath, [jest, '--rootDir', project], { cwd: project });
});
