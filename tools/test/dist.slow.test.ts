import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
// `cli` is a command: it exports nothing.
const packages = readdirSync(join(root, 'packages')).filter((name) => name !== 'cli');
const names = [...packages, 'conformance'];
const missing = names.filter((name) => {
  const folder = name === 'conformance' ? name : `packages/${name}`;
  return !existsSync(join(root, folder, 'dist/index.js'));
});

/** The file of an entry, without its extension. */
const FILES: Readonly<Record<string, string>> = { '.': 'index', './internal': 'internal' };

describe('a built package', () => {
  it.for(names)('exports the same to require() and to import: %s', (name, { skip }) => {
    if (missing.length > 0) {
      console.log(`skipped: ${missing.join(', ')} not built; run pnpm build`);
      skip('not built');
    }
    const code = `
      const required = require('@ws/${name}');
      import('@ws/${name}').then((imported) => {
        const names = Object.keys(imported);
        // The CommonJS file of compat is the class, as that of ws.
        const of = (key) => (key === 'default' ? (required.default ?? required) : required[key]);
        if (names.some((key) => of(key) !== imported[key])) throw new Error('two copies');
        console.log(names.length > 0);
      });`;
    const out = execFileSync(process.execPath, ['-e', code], { cwd: root, encoding: 'utf8' });
    expect(out.trim()).toBe('true');
  });

  // Otherwise V8 looks each constant of another package up in a dictionary, for each message.
  it.for(['.', './internal'])('keeps the exports of %s fast for V8', (entry, { skip }) => {
    if (missing.length > 0) skip('not built');
    const ids = names
      .filter((name) => existsSync(join(root, 'packages', name, 'dist', `${FILES[entry]}.cjs`)))
      .map((name) => `@ws/${name}${entry.slice(1)}`);
    const code = `console.log(JSON.stringify(${JSON.stringify(ids)}.filter((id) => {
      return !%HasFastProperties(require(id));
    })));`;
    const args = ['--allow-natives-syntax', '-e', code];
    const out = execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    expect(ids.length).toBeGreaterThan(8);
    expect(JSON.parse(out)).toEqual([]);
  });
});

describe('a server on Node', () => {
  it('loads compression and HTTP/2 when they are first used', ({ skip }) => {
    if (missing.length > 0) skip('not built');
    const code = `
      const { serve } = require('@ws/node-server');
      const { dial } = require('@ws/node-client');
      const parts = ['/deflate/', 'node-io/dist/http2/', 'node-server/dist/http2/', 'node-client/dist/http2/'];
      const report = () => {
        const files = Object.keys(require.cache);
        const loaded = parts.map((part) => files.some((file) => file.includes(part)));
        const modules = ['zlib', 'http2'].map((name) =>
          process.moduleLoadList.includes('NativeModule ' + name),
        );
        console.log(JSON.stringify([...loaded, ...modules]));
      };
      const echo = (conn) => conn.receive((message) => conn.send(message));
      (async () => {
        const way = [[{}, {}], [{ compression: true }, { compression: true }], [{ http2: 'clear' }, { http2: 'only' }]];
        for (const [ofServer, ofClient] of way) {
          const server = await serve({ port: 0, host: '127.0.0.1', ...ofServer }, echo);
          const conn = await dial(server.url, ofClient);
          await conn.send('hello');
          await conn.readMessage();
          await conn.close();
          await server.close();
          report();
        }
      })();`;
    const out = execFileSync(process.execPath, ['-e', code], { cwd: root, encoding: 'utf8' });
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      [false, false, false, false, false, false],
      [true, false, false, false, true, false],
      [true, true, true, true, true, true],
    ]);
  });

  it.for(['require', 'import'])('loads no client and no Endpoint, by %s', (way, { skip }) => {
    if (missing.length > 0) skip('not built');
    const entry =
      way === 'require' ? "require('@ws/node-server')" : "await import('@ws/node-server')";
    const code = `(async () => {
      const { Upgrader } = ${entry};
      new Upgrader();
      console.log(Object.keys(require.cache).filter((file) => /heads|standalone/.test(file)).length);
      const { Endpoint } = require('@ws/codec');
      console.log(new Endpoint({ role: 'server' }) instanceof Endpoint);
    })();`;
    const out = execFileSync(process.execPath, ['-e', code], { cwd: root, encoding: 'utf8' });
    expect(out).toBe('0\ntrue\n');
  });
});

describe('a bundle for Node', () => {
  const program = `
    import { serve } from '@ws/node-server';
    import { dial } from '@ws/node-client';
    import { Hub } from '@ws/hub';
    const hub = new Hub();
    const server = await serve({ port: 0, host: '127.0.0.1' }, (conn) => conn.receive((m) => conn.send(m)));
    const conn = await dial(server.url);
    await conn.send('hello');
    console.log((await conn.readMessage()).text());
    await conn.close();
    await hub.close();
    await server.close();`;

  const conditions = [undefined, 'production', 'development', 'worker', 'react-server', 'import'];
  it.for(conditions)('runs as an ES module with the condition %s', async (condition, { skip }) => {
    if (missing.length > 0) skip('not built');
    const options = { platform: 'node', ...(condition && { conditions: [condition] }) };
    const { outputFiles } = await bundle(program, options);
    const node = ['--input-type=module', '-'];
    const input = outputFiles[0]!.text;
    const out = execFileSync(process.execPath, node, { input, encoding: 'utf8' });
    expect(out.trim()).toBe('hello');
  });

  it.for(['esm', 'cjs'])('has one copy of each class: %s', async (format, { skip }) => {
    if (missing.length > 0) skip('not built');
    const both = `
      import { Conn } from '@ws/conn';
      import * as server from '@ws/node-server';
      const required = require('@ws/conn');
      console.log(required.Conn === Conn, require('@ws/node-server').WebSocketError === required.WebSocketError, server.WebSocketError === required.WebSocketError);`;
    const { outputFiles } = await bundle(both, { platform: 'node', format });
    const node = [format === 'esm' ? '--input-type=module' : '--input-type=commonjs', '-'];
    const input = outputFiles[0]!.text;
    const out = execFileSync(process.execPath, node, { input, encoding: 'utf8' });
    expect(out.trim()).toBe('true true true');
  });

  it('has one copy of each class beside @ws/compat', async ({ skip }) => {
    if (missing.length > 0) skip('not built');
    const beside = `
      import { WebSocket } from '@ws/compat';
      import { serve } from '@ws/node-server';
      console.log(require('@ws/compat') === WebSocket, typeof serve);`;
    const { metafile, outputFiles } = await bundle(beside, { platform: 'node', format: 'cjs' });
    const [output] = Object.values(metafile.outputs);
    const files = Object.keys(output!.inputs).map((path) => path.replace(/^.*packages\//, ''));
    expect(files).toContain('compat/dist/index.cjs');
    // It contains codec, conn and node-io.
    expect(files).not.toContain('compat/dist/standalone.cjs');
    const node = ['--input-type=commonjs', '-'];
    const input = outputFiles[0]!.text;
    const out = execFileSync(process.execPath, node, { input, encoding: 'utf8' });
    expect(out.trim()).toBe('true function');
  });
});

describe('a bundle for browsers', () => {
  it.for(['node-client', 'browser'])(
    'of dial of @ws/%s has neither Conn nor node:',
    async (name, { skip }) => {
      if (missing.length > 0) skip('not built');
      const { metafile, outputFiles } = await bundle(`export { dial } from '@ws/${name}';`);
      const files = Object.values(metafile.outputs)[0]!.inputs;
      const included = Object.entries(files).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
      expect(
        included.map(([path]) => path.replace(/^.*packages\/(\w[\w-]*)\/.*$/, '$1')),
      ).toContain('browser');
      const text = outputFiles[0]!.text;
      expect(text).not.toMatch(/node:|no data from the peer for/);
      expect(text.length).toBeLessThan(40_000);
    },
  );
});

describe('15 a bundle of each entry', () => {
  const entries = names.flatMap((name) =>
    Object.keys(manifestOf(name).exports)
      .filter((entry) => !/internal|package\.json|standalone|bun|deno|workers/.test(entry))
      .map((entry) => `@ws/${name}${entry.slice(1)}`),
  );

  it.for(['esm', 'cjs'])('is made without a warning: %s', async (format, { skip }) => {
    if (missing.length > 0) skip('not built');
    const programs = entries
      .filter((id) => id !== '@ws/compat' || format === 'cjs')
      .map((id) => `import * as all from '${id}'; console.log(all);`);
    const results = await Promise.all(
      programs.map((program) => bundle(program, { platform: 'node', format })),
    );
    const warnings = results.flatMap((result) => result.warnings.map(({ text }) => text));
    expect(entries).toContain('@ws/hub/rooms');
    expect(warnings).toEqual([]);
  });
});

describe('an ES module', () => {
  it('keeps the calls that a bundler may drop', async ({ skip }) => {
    if (missing.length > 0) skip('not built');
    const { outputFiles } = await bundle(`export { CloseError } from '@ws/conn';`);
    const code = Buffer.from(outputFiles[0]!.text).toString('base64');
    const { CloseError } = (await import(`data:text/javascript;base64,${code}`)) as {
      CloseError: new (code: number) => Error;
    };
    expect(new CloseError(1001).message).toContain('close 1001 (going away)');
  });
});

describe('a bundle of all of @ws/conn', () => {
  it('compresses only with @ws/deflate', async ({ skip }) => {
    if (!existsSync(join(root, 'packages/deflate/dist/index.js'))) skip('not built');
    const extension = 'invalid DEFLATE data';
    const conn = `export * from '@ws/conn';`;
    const [without] = (await bundle(conn)).outputFiles;
    const [withExtension] = (await bundle(`${conn} export * from '@ws/deflate';`)).outputFiles;
    expect([without, withExtension].map((file) => file!.text.includes(extension))).toEqual([
      false,
      true,
    ]);
    expect(withExtension!.text.length - without!.text.length).toBeGreaterThan(5_000);
  });
});

describe('a module for pages without a bundler', () => {
  it.for(['browser', 'obs'])('of @ws/%s is one file: it imports nothing', (name, { skip }) => {
    const file = join(root, 'packages', name, 'dist/standalone.js');
    if (!existsSync(file)) skip('not built');
    expect(readFileSync(file, 'utf8')).not.toMatch(/\bfrom ?"|\bimport ?["(]/);
  });
});

function manifestOf(name: string): { readonly exports: object } {
  const folder = name === 'conformance' ? name : `packages/${name}`;
  return JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as {
    readonly exports: object;
  };
}

interface Bundle {
  readonly warnings: readonly { readonly text: string }[];
  readonly metafile: {
    readonly outputs: Record<string, { inputs: Record<string, { bytesInOutput: number }> }>;
  };
  readonly outputFiles: readonly { readonly text: string }[];
}

/** Bundles with the esbuild of tsup, for browsers unless `options` say otherwise. */
async function bundle(contents: string, options: object = {}): Promise<Bundle> {
  const require = createRequire(createRequire(import.meta.url).resolve('tsup'));
  const { build } = require('esbuild') as { build: (options: object) => Promise<Bundle> };
  return build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    platform: 'browser',
    format: 'esm',
    metafile: true,
    write: false,
    logLevel: 'silent',
    ...options,
  });
}
