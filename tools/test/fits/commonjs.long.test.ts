// CommonJS from the tarballs, by Node and by Jest, as docs/runtimes.md and docs/testing.md show it:
// `pnpm long commonjs` packs them and runs this.
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freshProject, run, runBy, tarballs, write } from './fresh-project.ts';

/** Every entry of every package, apart from those for one kind of page. */
const ENTRIES = [
  'browser',
  'codec',
  'codec/internal',
  'compat',
  'conformance',
  'conn',
  'conn/internal',
  'conn/parts',
  'conn/pure-deflate',
  'conn/reconnecting',
  'hub',
  'hub/nats',
  'hub/redis',
  'hub/testing',
  'node-client',
  'node-io',
  'node-server',
  'node-server/raw',
  'obs',
  'obs/v4',
].map((name) => `@ws/${name}`);

/** A test as people write it: a server, a client, an error of a class, bytes of Jest's realm. */
const JEST_TEST = `
const { serve } = require('@ws/node-server');
const { dial, CloseError, WebSocketError } = require('@ws/node-client');
const { connPair } = require('@ws/conn');

test.each(${JSON.stringify(ENTRIES)})('%s loads', (name) => {
  expect(Object.keys(require(name)).length).toBeGreaterThan(0);
});

test('a client echoes through a server', async () => {
  const server = await serve({ port: 0, host: '127.0.0.1', compression: true }, (conn) =>
    conn.receive((message) => conn.send(message)),
  );
  const conn = await dial(server.url, { compression: true });
  for (const size of [0, 5, 70_000]) {
    await conn.send('x'.repeat(size));
    expect((await conn.readMessage()).text()).toHaveLength(size);
    await conn.send(new Uint8Array(size).fill(7));
    expect(Buffer.from((await conn.readMessage()).data)).toEqual(Buffer.alloc(size, 7));
  }
  await conn.close();
  await server.close();
});

test('an error is an instance of the class in every package', async () => {
  const [client, server] = connPair();
  client.terminate();
  const error = await server.readMessage().catch((error) => error);
  expect(error).toBeInstanceOf(CloseError);
  expect(error).toBeInstanceOf(WebSocketError);
  expect(error).toBeInstanceOf(require('@ws/node-server').CloseError);
  expect(error).toBeInstanceOf(Error);
});
`;

/** The same in a page of jsdom: the client is that of the browser. */
const PAGE_TEST = `
test.each(${JSON.stringify(['@ws/browser', '@ws/codec', '@ws/conn', '@ws/node-client'])})('%s loads', (name) => {
  expect(Object.keys(require(name)).length).toBeGreaterThan(0);
});

test('node-client is the client of the browser', () => {
  expect(require('@ws/node-client').dial).toBe(require('@ws/browser').dial);
});
`;

let project = '';

describe('CommonJS', () => {
  beforeAll(() => {
    project = freshProject([...tarballs(), 'jest@30', 'jest-environment-jsdom@30']);
  }, 300_000);

  afterAll(() => rmSync(dirname(project), { recursive: true, force: true }), 60_000);

  it.each(ENTRIES)('gives require() and import the same of %s', (name) => {
    const code = `
      const required = require('${name}');
      import('${name}').then((imported) => {
        const names = Object.keys(imported).filter((key) => key !== 'default' && key !== 'module.exports');
        const other = names.filter((key) => required[key] !== imported[key]);
        console.log(names.length > 0, other.join());
      });`;
    expect(run(project, '--no-experimental-require-module', '-e', code)).toEqual({
      status: 0,
      output: 'true \n',
    });
  });

  it('makes an object of import an instance of the classes of require(), and back', () => {
    const program = write(
      project,
      'both.mjs',
      `import { createRequire } from 'node:module';
       import { Conn, connPair, CloseError } from '@ws/conn';
       import { serve } from '@ws/node-server';
       const require = createRequire(import.meta.url);
       const conn = require('@ws/conn');
       const client = require('@ws/node-client');
       const [one] = connPair();
       const [other] = conn.connPair();
       const server = await serve({ port: 0, host: '127.0.0.1' }, (each) => each.close(4000));
       const dialed = await client.dial(server.url);
       const error = await dialed.readMessage().catch((error) => error);
       await server.close();
       console.log(
         one instanceof conn.Conn, other instanceof Conn, dialed instanceof Conn,
         error instanceof CloseError, error instanceof conn.CloseError,
         conn.broadcast([one, other], 'to both'),
       );
       one.terminate();
       other.terminate();`,
    );
    expect(run(project, program)).toEqual({ status: 0, output: 'true true true true true 2\n' });
  });

  it.each(
    ['20.19.0', '22.23.3'].flatMap((version) => [
      { version, environment: 'node', code: JEST_TEST },
      { version, environment: 'jsdom', code: PAGE_TEST },
    ]),
  )(
    'is what Jest 30 loads on Node $version in the environment $environment',
    { timeout: 300_000 },
    ({ version, environment, code }) => {
      write(project, `${environment}/every.test.js`, code);
      const jest = join('node_modules', 'jest', 'bin', 'jest.js');
      const args = [jest, '--env', environment, '--rootDir', environment];
      const { status, output } = runBy(version, project, ...args);
      expect([status, output]).toEqual([
        0,
        expect.stringMatching(/^Tests: +(\d+) passed, \1 total$/m),
      ]);
      expect(output).not.toMatch(/did not exit|open handle/);
    },
  );
});
