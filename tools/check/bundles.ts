// `pnpm long runtimes`: the built packages where a bundler or a platform changes them. A server in one file by esbuild; the
// same as one executable; in the shape of Electron; a page's client over React Native's WebSocket.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import vm from 'node:vm';
import { WebSocket as NodeWebSocket } from '@ws/compat';
import { serve } from '@ws/node-server';

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
    const text = await bundle(join(root, 'tools/bundles/react-native.mjs'), {
      platform: 'neutral',
      conditions: ['react-native', 'import'],
      format: 'iife',
      target: 'es2022',
    });
    const server = await serve({ port: 0, host: '127.0.0.1' }, (conn) =>
      conn.receive((message) => conn.send(message)),
    );
    try {
      await inReactNative(text, server.url);
    } finally {
      await server.close();
    }
  },
};

/** What the native half of React Native's WebSocket tells the half in JavaScript. */
interface NativeEvents {
  open(protocol: string): void;
  text(data: string): void;
  binary(bytes: readonly number[]): void;
  closed(code: number, reason: string): void;
  failed(message: string): void;
}

/**
 * The half in JavaScript, as in React Native 0.7x: no `bufferedAmount`, no `extensions`, no `wasClean`, a `protocol` only
 * when it is open, a `binaryType` that throws for other values, and `close()` that sends 1000.
 */
const REACT_NATIVE_WEBSOCKET = `
globalThis.WebSocket = class WebSocket {
  readyState = 0;
  bufferedAmount;
  extension;
  protocol;
  #listeners = {};
  #binaryType;
  #native;
  constructor(url, protocols) {
    this.url = url;
    this.#native = connect(url, Array.isArray(protocols) ? protocols : null, {
      open: (protocol) => { this.readyState = 1; this.protocol = protocol; this.#emit({ type: 'open' }); },
      text: (data) => this.#emit({ type: 'message', data }),
      binary: (bytes) => this.#emit({ type: 'message', data: Uint8Array.from(bytes).buffer }),
      closed: (code, reason) => { this.readyState = 3; this.#emit({ type: 'close', code, reason }); },
      failed: (message) => {
        this.readyState = 3;
        this.#emit({ type: 'error', message });
        this.#emit({ type: 'close', code: 1006, reason: message });
      },
    });
  }
  #emit(event) { for (const listener of this.#listeners[event.type] ?? []) listener(event); }
  addEventListener(type, listener) { (this.#listeners[type] ??= []).push(listener); }
  get binaryType() { return this.#binaryType; }
  set binaryType(type) {
    if (type !== 'blob' && type !== 'arraybuffer') throw new Error("binaryType must be either 'blob' or 'arraybuffer'");
    this.#binaryType = type;
  }
  send(data) {
    if (this.readyState === 0) throw new Error('INVALID_STATE_ERR');
    if (typeof data === 'string') return this.#native.text(data);
    if (!(data instanceof ArrayBuffer) && !ArrayBuffer.isView(data)) throw new Error('Unsupported data type');
    const view = data instanceof ArrayBuffer ? new Uint8Array(data) : data;
    this.#native.binary([...new Uint8Array(view.buffer, view.byteOffset, view.byteLength)]);
  }
  close(code, reason) {
    if (this.readyState > 1) return;
    this.readyState = 2;
    this.#native.close(typeof code === 'number' ? code : 1000, typeof reason === 'string' ? reason : '');
  }
};`;

/** The native half. */
function connect(url: string, protocols: string[] | null, events: NativeEvents): object {
  const ws = new NodeWebSocket(url, protocols ?? []);
  ws.on('open', () => events.open(ws.protocol));
  ws.on('message', (data: Uint8Array, isBinary: boolean) =>
    isBinary ? events.binary([...data]) : events.text(String(data)),
  );
  ws.on('error', (error: Error) => events.failed(error.message));
  ws.on('close', (code: number, reason: Uint8Array) => events.closed(code, String(reason)));
  return {
    text: (data: string) => ws.send(data),
    binary: (bytes: readonly number[]) => ws.send(Uint8Array.from(bytes)),
    close: (code: number, reason: string) => ws.close(code, reason),
  };
}

/** Runs a program with the globals of React Native: no DOM, no streams, no MessageChannel, no TextDecoder. */
function inReactNative(text: string, url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const globals = {
      url,
      connect,
      ended: (error: unknown) => (error === undefined ? resolve() : reject(error)),
      // As those of react-native-url-polyfill.
      URL,
      AbortController,
      TextEncoder,
      console,
      performance,
      setTimeout,
      clearTimeout,
      setInterval,
      clearInterval,
    };
    const context = vm.createContext(globals);
    vm.runInContext(REACT_NATIVE_WEBSOCKET, context);
    vm.runInContext(text, context);
  });
}

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
