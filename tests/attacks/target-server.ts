import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Duplex } from 'node:stream';
import {
  type Conn,
  type ServeOptions,
  serve,
  Upgrader,
  type UpgraderOptions,
} from '@ws/node-server';
import type { Watch } from '../../src/hostile/index.ts';
import {
  type Answer,
  masked,
  parseAnswer,
  type RawSocket,
  type RequestChange,
  rawSocket,
  request,
  turn,
} from '../../src/index.ts';
import { expectNoSockets, whenOver } from '../../src/peers/index.ts';

/** What a server of ours is attacked with, and what it let through. It ends with the test. */
export class Attacked {
  readonly port: number;
  /** Connections that were handed over. */
  opened = 0;
  /** Messages that were delivered. */
  messages = 0;
  /** Requests that are no upgrades and were served. */
  served = 0;
  /** What reached the `report` function. */
  readonly reported: unknown[] = [];
  /** The latest connection. */
  conn: Conn | undefined;

  constructor(port: number) {
    this.port = port;
  }
}

/**
 * `serve` with a handler that echoes.
 *
 * @param paths - Routes; all paths lead to the handler without them.
 */
export async function attacked(
  options: ServeOptions<unknown> = {},
  paths?: readonly string[],
): Promise<Attacked> {
  await warmUp();
  return serving(options, paths);
}

let warm = false;

/** What is compiled and kept by the first requests of a process is no cost of an attack. */
async function warmUp(): Promise<void> {
  if (warm) return;
  warm = true;
  const target = await serving({ compression: { threshold: 0 }, subprotocols: ['chat'] });
  const changes: (RequestChange | string)[] = [
    {},
    { behind: masked(1, 'hi') },
    {
      add: [
        'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; a=b, c; d="e"',
        'Sec-WebSocket-Protocol: other, chat',
      ],
    },
    { line: 'POST / HTTP/1.1' },
    { set: ['Sec-WebSocket-Key: none'], behind: masked(1, 'hi') },
    'no HTTP\r\n\r\n',
  ];
  for (let i = 0; i < 12; i++) {
    for (const change of changes) await ask(undefined, target, change);
  }
}

async function serving(
  options: ServeOptions<unknown>,
  paths?: readonly string[],
): Promise<Attacked> {
  const handler = (conn: Conn): unknown => echo(target, conn);
  const all: ServeOptions<unknown> = {
    host: '127.0.0.1',
    request: (_req, res) => {
      target.served++;
      res.end('served');
    },
    report: (error) => target.reported.push(error),
    ...options,
  };
  const server = await (paths === undefined
    ? serve(all, handler)
    : serve({ ...all, routes: Object.fromEntries(paths.map((path) => [path, handler])) }));
  whenOver(() => server.close({ timeout: 1 }));
  const target = new Attacked(Number(new URL(server.url).port));
  return target;
}

/** An Upgrader on a server of node:http, which a test may change before anybody connects. */
export async function attackedUpgrader(
  options: UpgraderOptions<unknown> = {},
  http: Server = createServer(),
): Promise<Attacked> {
  http.on(
    'upgrade',
    new Upgrader(options).handler((conn) => echo(target, conn)),
  );
  http.on('request', (_req, res) => {
    target.served++;
    res.end('served');
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  whenOver(() => new Promise((resolve) => http.close(resolve)));
  const target = new Attacked((http.address() as AddressInfo).port);
  return target;
}

function echo(target: Attacked, conn: Conn): unknown {
  target.opened++;
  target.conn = conn;
  return conn.receive((message) => {
    target.messages++;
    return conn.send(message);
  });
}

/** A request whose `authenticate` waits. */
export interface Held {
  readonly req: IncomingMessage;
  readonly signal: AbortSignal;
  /** Lets the client in. */
  answer(): void;
}

/** An `authenticate` that answers when it is told to. */
export class Waiting {
  readonly #held: Held[] = [];

  readonly authenticate = (
    req: IncomingMessage,
    { signal }: { signal: AbortSignal },
  ): Promise<void> => new Promise((answer) => this.#held.push({ req, signal, answer }));

  /** Waits until so many wait, and gives them: they wait for nobody else then. */
  async until(count: number): Promise<Held[]> {
    while (this.#held.length < count) await turn();
    return this.#held.splice(0);
  }
}

/** A server's end of a connection in memory: what arrives is pushed, what is sent is kept. */
export class Wire extends Duplex {
  sent = '';
  /** As the sockets of a server have it. */
  readonly server: Server;

  /** Connects. */
  constructor(server: Server) {
    super();
    this.server = server;
    server.emit('connection', this);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.sent += chunk.toString('latin1');
    done();
  }

  /** A client that answers an end by its own. */
  override _final(done: () => void): void {
    this.push(null);
    done();
  }
}

/** What a request came to. */
export interface Reply extends Answer {
  /** How many responses there were. */
  readonly responses: number;
}

/** How {@link ask} goes about it. */
export interface AskOptions {
  /** Looks at the memory while the answer is there and the connection is not over. */
  readonly weigh?: boolean;
}

/** Sends a request, a good one but for a change, or bytes as they are; gives the answer once it is whole. */
export async function ask(
  watch: Watch | undefined,
  { port }: Attacked,
  what: RequestChange | Uint8Array | string,
  { weigh = false }: AskOptions = {},
): Promise<Reply> {
  const client = await rawSocket(port);
  const bytes = bytesOf(what);
  watch?.sent(bytes.length);
  client.socket.write(bytes);
  await whole(client);
  if (weigh) watch?.weigh();
  client.destroy();
  await client.closed;
  // The server's end goes a few turns later.
  await expectNoSockets();
  const answer = parseAnswer(client.received.toString('latin1'));
  return { ...answer, responses: answer.raw.split('HTTP/1.1 ').length - 1 };
}

/** The same for many, one after the other. */
export async function askAll(
  watch: Watch,
  target: Attacked,
  whats: readonly (RequestChange | string)[],
): Promise<Reply[]> {
  const replies: Reply[] = [];
  for (const what of whats) replies.push(await ask(watch, target, what));
  return replies;
}

function bytesOf(what: RequestChange | Uint8Array | string): Uint8Array {
  if (typeof what === 'string') return Buffer.from(what, 'latin1');
  return what instanceof Uint8Array ? what : request(what);
}

/** A 101 is whole with its head, any other answer when the server ends. */
export async function whole(client: RawSocket): Promise<void> {
  const head = await client.until((all) => all.includes('\r\n\r\n') || client.ended);
  if (!head.toString('latin1').startsWith('HTTP/1.1 101 ')) await client.untilEnd();
}

/** What all have in common: the value itself, or the list of those that there are. */
export function common<T>(values: Iterable<T>): T | string {
  const all = [...new Set(values)];
  return all.length === 1 ? all[0]! : all.join(', ');
}

/** The status of all replies, or the list of those that there are. */
export function statusOf(replies: readonly Reply[]): number | string {
  return common(replies.map(({ status }) => status));
}

/** How many of two good requests a server fails to answer after all that happened to it. */
export async function crashes(target: Attacked): Promise<number> {
  const replies = [await ask(undefined, target, {}), await ask(undefined, target, {})];
  return replies.filter(({ status }) => status !== 101).length;
}
