// Programs for pages and React Native, in a context that has only the globals they are given.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import vm from 'node:vm';
import { WebSocket as NodeWebSocket } from '@ws/compat';

interface BuildResult {
  readonly outputFiles: readonly { readonly text: string }[];
}

/** Bundles a file, or the text of one in `folder`, as React Native does, with the esbuild of tsup. */
export async function bundleForPage(
  entry: string | { readonly text: string; readonly folder: string },
  ...conditions: readonly string[]
): Promise<string> {
  const require = createRequire(createRequire(import.meta.url).resolve('tsup'));
  const { build } = require('esbuild') as { build: (options: object) => Promise<BuildResult> };
  const input =
    typeof entry === 'string'
      ? { entryPoints: [entry] }
      : { stdin: { contents: entry.text, resolveDir: entry.folder } };
  const { outputFiles } = await build({
    ...input,
    bundle: true,
    write: false,
    logLevel: 'error',
    platform: 'neutral',
    conditions: [...conditions, 'react-native', 'import'],
    format: 'iife',
    target: 'es2022',
  });
  return outputFiles[0]!.text;
}

/** The program of the page that uses calls, a stream and rooms. */
export const ROOMS_PROGRAM = join(import.meta.dirname, '../page/rooms.mjs');

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

/**
 * Runs a program with the globals of React Native: no DOM, no streams, no MessageChannel, no TextDecoder.
 *
 * @param more - Globals that it has too.
 * @returns A promise for the end of the program, which calls `ended`, with an error if it failed.
 */
export function inReactNative(text: string, url: string, more: object = {}): Promise<void> {
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
      ...more,
    };
    const context = vm.createContext(globals);
    vm.runInContext(REACT_NATIVE_WEBSOCKET, context);
    vm.runInContext(text, context);
  });
}
