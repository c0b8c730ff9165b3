import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import type { Upgrader } from '../src/index.ts';

/** RFC 6455's own example, section 1.2. */
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

const USUAL: readonly string[] = [
  'Host: server.example.com',
  'Upgrade: websocket',
  'Connection: Upgrade',
  `Sec-WebSocket-Key: ${KEY}`,
  'Sec-WebSocket-Version: 13',
];

/** The name of a header line, in lower case. */
function nameOf(line: string): string {
  return line.slice(0, line.indexOf(':')).toLowerCase();
}

/** How a request differs from a good one. */
export interface RequestChange {
  line?: string;
  /** Fields of the good request to leave out, by name in lower case. */
  without?: readonly string[];
  /** Lines that stand in place of the good request's fields of the same names. */
  set?: readonly string[];
  /** Lines to add. */
  add?: readonly string[];
  /** What follows the head. */
  behind?: string | Uint8Array;
}

/** The bytes of an upgrade request, good but for `change`. */
export function request(change: RequestChange = {}): Buffer {
  const { line = 'GET /chat HTTP/1.1', without = [], set = [], add = [], behind = '' } = change;
  const dropped = [...without, ...set.map(nameOf)];
  const kept = USUAL.filter((usual) => !dropped.includes(nameOf(usual)));
  const head = `${[line, ...kept, ...set, ...add].join('\r\n')}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(behind as string)]);
}

/** A server's answer as it stood on the wire. */
export interface Answer {
  readonly status: number;
  readonly statusLine: string;
  readonly names: readonly string[];
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  readonly raw: string;
}

export function parseAnswer(raw: string): Answer {
  const end = raw.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = raw.slice(0, end).split('\r\n');
  const pairs = lines.map(
    (l) => [l.slice(0, l.indexOf(':')), l.slice(l.indexOf(':') + 2)] as const,
  );
  return {
    status: Number(statusLine.split(' ')[1]),
    statusLine,
    names: pairs.map(([name]) => name),
    headers: new Map(pairs.map(([name, value]) => [name.toLowerCase(), value])),
    body: raw.slice(end + 4),
    raw,
  };
}

/** Sends bytes and gives all that comes back until the server ends. */
export async function exchange(port: number, bytes: Uint8Array): Promise<Answer> {
  const socket = net.connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(bytes);
  await once(socket, 'end');
  socket.destroy();
  return parseAnswer(Buffer.concat(chunks).toString('latin1'));
}

/** A client that reads by hand. */
export class RawClient {
  readonly socket: net.Socket;
  received: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#wake?.();
    });
    socket.on('close', () => this.#wake?.());
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** Resolves when `holds`, or when the socket is closed. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds() && !this.socket.closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Sends an upgrade request, reads the 101 and gives it; what follows stays in `received`. */
  async upgrade(change: RequestChange = {}): Promise<Answer> {
    this.socket.write(request(change));
    await this.until(() => this.received.includes('\r\n\r\n'));
    const end = this.received.indexOf('\r\n\r\n') + 4;
    const answer = parseAnswer(this.received.toString('latin1', 0, end));
    this.received = this.received.subarray(end);
    return answer;
  }

  async closed(): Promise<void> {
    if (!this.socket.closed) await new Promise((resolve) => this.socket.once('close', resolve));
  }
}

/** A node:http server whose upgrades are an Upgrader's, or a listener's. */
export class TestServer {
  readonly http: Server;
  /** What `upgrade` came to, in the order of the requests. */
  readonly outcomes: unknown[] = [];
  /** Requests that Node served as plain ones. */
  readonly served: string[] = [];
  port = 0;
  readonly #sockets = new Set<Duplex>();
  #wake: (() => void) | undefined;

  constructor(
    listener: Pick<Upgrader, 'upgrade'> | Parameters<Server['on']>[1],
    onRequest?: RequestListener,
  ) {
    this.http = createServer((req, res) => {
      this.served.push(`${req.method} ${req.url}`);
      if (onRequest === undefined) res.end('served');
      else onRequest(req, res);
    });
    this.http.on('connection', (socket) => this.#sockets.add(socket));
    if (typeof listener === 'function') this.http.on('upgrade', listener as () => void);
    else {
      this.http.on('upgrade', (req, socket, head) => {
        void listener.upgrade(req, socket, head).then(
          (conn) => this.settled(conn),
          (error: unknown) => this.settled(error),
        );
      });
    }
  }

  settled(outcome: unknown): void {
    this.outcomes.push(outcome);
    this.#wake?.();
  }

  /** The n-th outcome, when it is there. */
  async outcome(n = 0): Promise<unknown> {
    while (this.outcomes.length <= n) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.outcomes[n];
  }

  async listen(): Promise<this> {
    this.http.listen(0, '127.0.0.1');
    await once(this.http, 'listening');
    this.port = (this.http.address() as AddressInfo).port;
    return this;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.http.close();
    await once(this.http, 'close');
  }
}

/** The sockets, servers and timers that this process holds, by kind. */
function held(): Record<string, number> {
  const kinds: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) {
    if (/TCP|TLS|Pipe|Timeout/.test(kind)) kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}

/** Makes a file fail that leaves a socket, a server or a timer behind. To be called before its other hooks. */
export function trapLeftovers(): void {
  let before: Record<string, number>;
  beforeAll(() => {
    before = held();
  });
  afterAll(async () => {
    // What has been closed is gone within a few turns.
    for (let turns = 0; turns < 100 && !isDeepStrictEqual(held(), before); turns++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(held()).toEqual(before);
  });
}

/** Makes every test of a file fail that leaves something uncaught. */
export function trapUncaught(): void {
  const uncaught: unknown[] = [];
  const trap = (error: unknown): void => void uncaught.push(error);
  beforeEach(() => {
    process.on('uncaughtException', trap).on('unhandledRejection', trap);
  });
  afterEach(async () => {
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
    process.off('uncaughtException', trap).off('unhandledRejection', trap);
    expect(uncaught.splice(0)).toEqual([]);
  });
}

/** A masked frame as a client sends it, payload below 126 bytes. */
export function masked(opcode: number, payload: string | Uint8Array, fin = true): Buffer {
  const bytes = Buffer.from(payload as string);
  const key = [0x37, 0xfa, 0x21, 0x3d];
  return Buffer.from([
    (fin ? 0x80 : 0) | opcode,
    0x80 | bytes.length,
    ...key,
    ...bytes.map((b, i) => b ^ key[i & 3]!),
  ]);
}
