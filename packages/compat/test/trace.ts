import { type EventEmitter, once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import net, { type AddressInfo, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import type Theirs from 'ws';
import type { createWebSocketStream, WebSocketServer } from 'ws';
import ours from '../src/index.ts';

/** The API of ws, which both implementations have. */
export type Ws = typeof Theirs & {
  WebSocket: typeof Theirs;
  WebSocketServer: typeof WebSocketServer;
  Server: typeof WebSocketServer;
  createWebSocketStream: typeof createWebSocketStream;
};

// `require` returns the class with all parts of the API; ws's ESM has them as exports only.
const theirs = createRequire(import.meta.url)('ws') as Ws;

export const implementations: Readonly<Record<'ws' | 'compat', Ws>> = {
  ws: theirs,
  compat: ours as unknown as Ws,
};

type Socketish = InstanceType<Ws>;
type Server = InstanceType<Ws['WebSocketServer']>;

/** What a program did, by party: the order of events of two sockets is that of the network. */
export type Trace = Record<string, string[]>;

/** The tools of a program that runs with one implementation. */
export class Scene {
  readonly trace: Trace = {};
  readonly ws: Ws;
  readonly #endings: (() => unknown)[] = [];
  readonly #raw: Promise<void>[] = [];

  constructor(ws: Ws) {
    this.ws = ws;
  }

  log(party: string, ...values: unknown[]): void {
    (this.trace[party] ??= []).push(values.map(show).join(' '));
  }

  /** Logs a call: what it returns or throws. */
  attempt(party: string, name: string, call: () => unknown): void {
    try {
      this.log(party, name, '=>', call());
    } catch (error) {
      this.log(party, name, 'throws', error);
    }
  }

  /** Returns a callback that logs its arguments. */
  callback(party: string, name: string): (...args: unknown[]) => void {
    return (...args) => this.log(party, name, 'called', ...args.map((arg) => arg ?? 'nothing'));
  }

  /** Runs `end` after the program. */
  cleanup(end: () => unknown): void {
    this.#endings.push(end);
  }

  /** Resolves when the plain sockets have closed. */
  async settled(): Promise<void> {
    await Promise.all(this.#raw);
  }

  async end(): Promise<void> {
    for (const end of this.#endings.toReversed()) await end();
  }

  /** Logs every event of a connection, with the state in which it comes. */
  watch<T extends Socketish>(party: string, ws: T): T {
    this.#spy(party, ws, () => `[${ws.readyState}]`);
    this.cleanup(() => ws.readyState === 3 || ws.terminate());
    return ws;
  }

  watchServer(party: string, server: Server): Server {
    for (const event of ['listening', 'headers', 'connection', 'close']) {
      server.on(event, (...args) => this.log(party, `[${server.clients?.size}]`, event, ...args));
    }
    return server;
  }

  /** Wraps `emit`: a listener could change what is observed, for example for 'error'. */
  #spy(party: string, emitter: EventEmitter, state: () => string): void {
    const { emit } = emitter;
    emitter.emit = (event: string, ...args: unknown[]) => {
      if (event !== 'newListener' && event !== 'removeListener') {
        this.log(party, state(), event, ...args);
      }
      return emit.call(emitter, event, ...args);
    };
  }

  /** A client, watched. Its errors are events only. */
  client(address: string | URL, ...more: unknown[]): Socketish {
    const Client = this.ws as unknown as new (...args: unknown[]) => Socketish;
    const client = new Client(address, ...more);
    client.on('error', () => {});
    return this.watch('client', client);
  }

  /** A server on a free port. */
  async serve(options: object = {}): Promise<Server> {
    const server = new this.ws.WebSocketServer({ port: 0, host: '127.0.0.1', ...options });
    this.cleanup(async () => {
      for (const client of server.clients ?? []) client.terminate();
      await new Promise((resolve) => server.close(resolve));
    });
    await once(server, 'listening');
    return server;
  }

  /** A server and one client, both watched. Errors are events only. */
  async pair(
    serverOptions: object = {},
    clientOptions: object = {},
    ready: (server: Socketish, client: Socketish) => void = () => {},
  ): Promise<{ server: Socketish; client: Socketish; wss: Server }> {
    const wss = await this.serve(serverOptions);
    const client = new this.ws(urlOf(wss), clientOptions);
    const accepted = once(wss, 'connection') as Promise<[Socketish, IncomingMessage]>;
    client.on('error', () => {});
    this.watch('client', client);
    wss.once('connection', (server) => {
      server.on('error', () => {});
      this.watch('server', server);
      ready(server, client);
    });
    const [[server]] = await Promise.all([accepted, once(client, 'open')]);
    return { server, client, wss };
  }

  /** A server of which the client is a plain socket after its handshake. */
  async rawClient(
    serverOptions: object = {},
    headers: readonly string[] = [],
    ready: (server: Socketish) => void = () => {},
  ): Promise<{ server: Socketish; socket: Socket; wss: Server }> {
    const wss = await this.serve(serverOptions);
    const accepted = once(wss, 'connection') as Promise<[Socketish]>;
    wss.once('connection', (server) => {
      server.on('error', () => {});
      this.watch('server', server);
      ready(server);
    });
    const socket = net.connect(portOf(wss), '127.0.0.1');
    this.cleanup(() => socket.destroy());
    socket.on('error', () => {});
    socket.write(upgradeRequest(headers));
    const [head] = (await once(socket, 'data')) as [Buffer];
    expect(String(head)).toContain('101 Switching Protocols');
    this.#watchSocket('raw', socket, head.subarray(head.indexOf('\r\n\r\n') + 4));
    const [server] = await accepted;
    return { server, socket, wss };
  }

  /** A client of a plain TCP server that answers every request with `answer`. */
  async rawServer(
    answer: (request: string, socket: Socket) => void,
  ): Promise<{ port: number; url: string }> {
    const server = net.createServer((socket) => {
      socket.on('error', () => {});
      this.cleanup(() => socket.destroy());
      socket.once('data', (request: Buffer) => answer(String(request), socket));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.cleanup(() => server.close());
    const { port } = server.address() as AddressInfo;
    return { port, url: `ws://127.0.0.1:${port}` };
  }

  /** Logs the bytes that a plain socket got, once it has ended. */
  #watchSocket(party: string, socket: Socket, first: Buffer): void {
    const chunks = [first];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    const received = new Promise<void>((resolve) => {
      socket.on('close', () => {
        this.log(party, 'received', Buffer.concat(chunks).toString('hex').slice(0, 400));
        resolve();
      });
    });
    this.#raw.push(received);
  }
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

export function urlOf(server: Server): string {
  return `ws://127.0.0.1:${portOf(server)}`;
}

/** Key and answer are those of RFC 6455, section 1.3. */
export function upgradeRequest(headers: readonly string[] = []): string {
  const lines = [
    'GET / HTTP/1.1',
    'Host: localhost',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13',
    ...headers,
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

type Program = (scene: Scene) => Promise<void>;

/** Runs the program with one implementation. */
export async function traceOf(name: 'ws' | 'compat', program: Program): Promise<Trace> {
  const scene = new Scene(implementations[name]);
  try {
    await program(scene);
    await scene.settled();
  } finally {
    await scene.end();
  }
  return scene.trace;
}

/** Runs the program with ws and with this package. Both leave the same trace. */
export function sameTrace(title: string, program: Program): void {
  test(title, async () => {
    const expected = await traceOf('ws', program);
    const got = await traceOf('compat', program);
    expect(Object.keys(expected).length, 'an empty trace proves nothing').toBeGreaterThan(0);
    expect(got).toEqual(expected);
  });
}

type PairProgram = (pair: { server: Socketish; client: Socketish }, scene: Scene) => unknown;

/** As {@link sameTrace}, with an open pair, until both ends have closed. */
export function samePair(title: string, program: PairProgram): void {
  sameTrace(title, async (scene) => {
    const { server, client } = await scene.pair();
    await program({ server, client }, scene);
    await closed(server, client);
  });
}

type Side = 'server' | 'client';
type SideProgram = (ends: { ws: Socketish; peer: Socketish }, scene: Scene) => unknown;

/** As {@link samePair}, with the names of the two ends as `side` has them. */
export function sameSide(side: Side, title: string, program: SideProgram): void {
  samePair(title, ({ server, client }, scene) =>
    program(side === 'server' ? { ws: server, peer: client } : { ws: client, peer: server }, scene),
  );
}

type RawProgram = (ends: { server: Socketish; socket: Socket }, scene: Scene) => unknown;

/** As {@link samePair}, with a plain socket as the client. */
export function sameRaw(title: string, program: RawProgram): void {
  sameTrace(title, async (scene) => {
    const { server, socket } = await scene.rawClient();
    await program({ server, socket }, scene);
    await closed(server);
  });
}

/** Resolves when `ws` is closed. */
export async function closed(...sockets: Socketish[]): Promise<void> {
  for (const ws of sockets) {
    // Not `once`: it rejects at an 'error'.
    if (ws.readyState !== 3) await new Promise((resolve) => void ws.on('close', resolve));
  }
}

/** A frame as a client sends it, with a key of zeros. */
export function masked(b0: number, payload: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(payload as string);
  const length =
    bytes.length < 126
      ? [0x80 | bytes.length]
      : bytes.length < 65536
        ? [0x80 | 126, bytes.length >> 8, bytes.length & 255]
        : [0x80 | 127, 0, 0, 0, 0, ...u32(bytes.length)];
  return Buffer.concat([Buffer.from([b0, ...length, 0, 0, 0, 0]), bytes]);
}

function u32(value: number): number[] {
  return [value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255];
}

function show(value: unknown): string {
  if (value instanceof Error) {
    const { name, message, code, errno } = value as NodeJS.ErrnoException;
    return [`${name}(${withoutPort(message)})`, code, errno]
      .filter((part) => part !== undefined)
      .join(' ');
  }
  if (Buffer.isBuffer(value)) return `Buffer(${brief(value)})`;
  if (value instanceof Uint8Array) return `Uint8Array(${brief(value)})`;
  if (value instanceof ArrayBuffer) return `ArrayBuffer(${brief(new Uint8Array(value))})`;
  if (value instanceof Blob) return `Blob(${value.size} ${value.type})`;
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  if (typeof value === 'string') return withoutPort(value);
  if (typeof value === 'object' && value !== null) return `<${value.constructor.name}>`;
  return String(value);
}

function brief(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex');
  return hex.length <= 200 ? hex : `${bytes.length} bytes, ${hex.slice(0, 40)}..`;
}

function withoutPort(text: string): string {
  return text
    .replaceAll(/(127\.0\.0\.1|localhost):\d+/g, '$1:PORT')
    .replaceAll(/(Sec-WebSocket-Accept: )[^,\r|]*/g, '$1DIGEST');
}
