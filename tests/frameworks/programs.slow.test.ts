import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { dial } from '@ws/node-client';
import { selfSigned } from '@ws/tests';
import { expect, it, onTestFinished } from 'vitest';
import { programs, startPage, write, writePrograms } from './page.ts';
import { programEchoes } from './suite.ts';

const root = join(import.meta.dirname, '../..');
const folder = writePrograms();
const ca = async (): Promise<string> => (await selfSigned()).cert;

programEchoes(folder, { name: 'http.ts', page: 'a page of node:http', missing: 404 });
programEchoes(folder, { name: 'https.ts', page: 'a page, over TLS', missing: 200, ca });
programEchoes(folder, { name: 'http2.ts', page: 'HTTP/1.1 from port', missing: 404, ca });
programEchoes(folder, { name: 'express.ts', page: 'a page of Express', missing: 404 });
programEchoes(folder, { name: 'koa.ts', page: 'a page of Koa', missing: 404 });
programEchoes(folder, { name: 'fastify.ts', page: 'a page of Fastify', missing: 404 });
programEchoes(folder, { name: 'hono.ts', page: 'a page of Hono', missing: 404 });
programEchoes(folder, { name: 'h3.ts', page: 'a page of h3', missing: 404 });

it.each([
  ['hono.ts', '/echo', 'Hono'],
  ['hono.ts', '/events', 'Hono'],
  ['h3.ts', '/echo', 'h3'],
])('%s sends the headers of a middleware with the 101: %s', async (name, path, served) => {
  const program = await startPage(folder, name);
  onTestFinished(() => void program.stop());
  const conn = await dial(program.ws + path);
  expect(conn.response.headers).toMatchObject({ 'x-served-by': served });
  await conn.send('hello');
  expect((await conn.readMessage()).text()).toBe('hello');
  await conn.close();
});

it('all programs of docs/frameworks.md have the right types', () => {
  expect(programs.size).toBeGreaterThan(15);
  const tsconfig = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { noEmit: true, composite: false, incremental: false },
    include: ['**/*.ts'],
    references: [],
  };
  write(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig));
  write(join(folder, 'planted.ts'), "export const n: number = 'text';\n");
  const tsc = join(root, 'tools/node_modules/typescript-7/bin/tsc');
  const { stdout } = spawnSync(process.execPath, [tsc, '-p', '.'], {
    cwd: folder,
    encoding: 'utf8',
  });
  // `pnpm check types` checks the sources of the packages, with their options.
  const faults = stdout.split('\n').filter((line) => /^\w[^.]/.test(line));
  expect(faults).toEqual([expect.stringMatching(/^planted\.ts/)]);
});
