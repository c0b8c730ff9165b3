// `pnpm long runtimes`: the built packages where a bundler or a platform changes them. A server in one file by esbuild; the
// same as one executable; in the shape of Electron; a page's client over React Native's WebSocket.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { serve } from '@ws/node-server';
import { bundleForPage, inReactNative, ROOMS_PROGRAM } from '../../tests/kit/page-context.ts';
import { LACKED, runRooms, serveRoomsForPage } from '../../tests/page/rooms.ts';

const root = join(import.meta.dirname, '../..');
const program = join(root, 'tools/bundles/program.mjs');
const withCompat = join(root, 'tools/bundles/with-compat.mjs');
/** The first version that builds an executable by itself is 25.5. */
const BUILDER = ['npx', '-y', '-p', 'node@26.10.0', 'node'] as const;

interface BuildResult {
  readonly outputFiles: readonly { readonly text: string }[];
}

/** Bundles with the esbuild of tsup. */
async function bundle(entry: string, options: object): Promise<string> {
  const require = createRequire(createRequire(import.meta.url).resolve('tsup'));
  const { build } = require('esbuild') as { build: (options: object) => Promise<BuildResult> };
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    logLevel: 'error',
    ...options,
  });
  return outputFiles[0]!.text;
}

/** @throws Error when the command does not print `ok`. */
function saysOk(command: string, ...args: string[]): void {
  const output = execFileSync(command, args, { encoding: 'utf8', timeout: 60_000 });
  if (!/^ok$/m.test(output)) throw new Error(`${command} printed ${output}`);
}

function inFile(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

const NODE = { platform: 'node', target: 'node20', minify: true };

const CHECKS: Readonly<Record<string, () => Promise<void>>> = {
  async 'a server in one file by esbuild, as an ES module'() {
    const text = await bundle(program, { ...NODE, format: 'esm' });
    saysOk(process.execPath, inFile('server.mjs', text));
  },

  async 'a server in one file by esbuild, as CommonJS'() {
    const text = await bundle(withCompat, { ...NODE, format: 'cjs' });
    saysOk(process.execPath, inFile('server.cjs', text));
  },

  async 'a single executable of Node'() {
    const main = inFile('main.cjs', await bundle(withCompat, { ...NODE, format: 'cjs' }));
    const output = join(folder, 'server');
    const config = { main, output, disableExperimentalSEAWarning: true };
    const [npx, ...args] = BUILDER;
    execFileSync(npx, [...args, '--build-sea', inFile('sea.json', JSON.stringify(config))]);
    saysOk(output);
  },

  async 'the shape of Electron: a renderer with Node'() {
    const text = await bundle(withCompat, { ...NODE, format: 'cjs' });
    const renderer = join(root, 'tools/bundles/electron-renderer.cjs');
    saysOk(process.execPath, renderer, inFile('renderer.cjs', text));
  },

  async "React Native's WebSocket, with @ws/browser"() {
    const text = await bundleForPage(join(root, 'tools/bundles/react-native.mjs'));
    const server = await serve({ port: 0, host: '127.0.0.1' }, (conn) =>
      conn.receive((message) => conn.send(message)),
    );
    try {
      await inReactNative(text, server.url);
    } finally {
      await server.close();
    }
  },

  async 'rooms, calls and a stream in a page that lacks what old browsers and React Native lack'() {
    const server = await serveRoomsForPage();
    try {
      const text = await bundleForPage(ROOMS_PROGRAM);
      for (const lacked of [[], ...LACKED.map((name) => [name]), LACKED]) {
        await runRooms(text, server.url, lacked);
      }
    } finally {
      await server.close();
    }
  },
};

const folder = mkdtempSync(join(tmpdir(), 'bundles-'));
try {
  for (const [name, check] of Object.entries(CHECKS)) {
    const error = await check().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    console.log(`bundles: ${name}: ${error === undefined ? 'ok' : (error as Error).message}`);
    if (error !== undefined) process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit();
