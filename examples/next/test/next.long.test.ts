import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { dial } from '@ws/node-client';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

/** They are installed from npm into a folder that is removed afterwards: next alone has 150 MB. */
const DEPENDENCIES = { next: '16.4.6', react: '19.2.0', 'react-dom': '19.2.0' };
const NPM_MS = 300_000;

const example = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'ws-next-'));

beforeAll(async () => {
  cpSync(join(example, 'server.mjs'), join(folder, 'server.mjs'));
  cpSync(join(example, 'app'), join(folder, 'app'), { recursive: true });
  const manifest = { private: true, dependencies: DEPENDENCIES };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  const install = ['install', '--ignore-scripts', '--no-audit', '--no-fund'];
  await promisify(execFile)('npm', install, { cwd: folder });
  mkdirSync(join(folder, 'node_modules/@ws'));
  const built = join(example, '../../packages/node-server');
  symlinkSync(built, join(folder, 'node_modules/@ws/node-server'), 'junction');
}, NPM_MS);

afterAll(() => rmSync(folder, { recursive: true, force: true }), NPM_MS);

/** Starts the example in the folder. @returns Its URL, and a function that ends it. */
async function start(): Promise<{ url: string; stop: () => Promise<unknown> }> {
  const child = spawn(process.execPath, ['server.mjs'], {
    cwd: folder,
    env: { ...process.env, PORT: '0', NODE_ENV: 'development', NEXT_TELEMETRY_DISABLED: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  const url = await new Promise<string>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      const found = /http:\/\/\S+(?=\n)/.exec(output)?.[0];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', () => reject(new Error(`it exited before it served\n${output}`)));
  });
  const stop = (): Promise<unknown> => {
    child.kill('SIGTERM');
    return exited;
  };
  return { url, stop };
}

describe('examples/next', () => {
  it('serves pages, its hot reload and an echo on one port', { timeout: NPM_MS }, async () => {
    const { url, stop } = await start();
    expect(await (await fetch(url)).text()).toContain('a page of Next');
    const ws = url.replace(/^http/, 'ws');
    const hot = await dial(`${ws}/_next/hmr`);
    expect((await hot.readMessage()).json()).toHaveProperty('type');
    const conn = await dial(`${ws}/echo`);
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    expect(hot.state).toBe('open');
    await hot.close();
    void conn.discardReads();
    const end = stop();
    expect(await conn.closed).toMatchObject({ code: 1001 });
    expect(await end).toEqual([0, null]);
  });
});
