import { createServer, type IncomingMessage, type Server } from 'node:http';
import { Duplex } from 'node:stream';
import {
  type AdmitOrRefuse,
  type Conn,
  type ServeOptions,
  serve,
  Upgrader,
  type UpgraderOptions,
} from '@ws/node-server';
import {
  type Answer,
  masked,
  parseAnswer,
  type RawPeer,
  type RequestChange,
  rawClient,
  request,
  turn,
} from '../kit/index.ts';
import { listening } from '../kit/listening.ts';
import { expectNoSockets, whenOver } from '../peers/index.ts';
import type { Watch } from './harness/index.ts';

/** A server under attack, and what it accepted. It closes at the end of the test. */
export class TargetServer {
  readonly port: number;
  /** Connections passed to the handler. */
  opened = 0;
  messages = 0;
  /** Requests without an upgrade that the server answered. */
  served = 0;
  /** Values passed to `report`. */
  readonly reported: unknown[] = [];
  /** The latest connection. */
  conn: Conn | undefined;

  constructor(port: number) {
    this.port = port;
  }
}

/**
 * Starts `serve` with an echo handler.
 *
 * @param paths - Routes to the handler. Without them all paths lead to it.
 */
export async function targetServer(
  options: ServeOptions<AdmitOrRefuse> = {},
  paths?: readonly string[],
): Promise<TargetServer> {
  await warmUp();
  return serving(options, paths);
}

let warm = false;

/** Makes the one-time allocations of a process before an attack counts. */
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
    for (const change of changes) await sendRequest(undefined, target, change);
  }
}

async function serving(
  options: ServeOptions<AdmitOrRefuse>,
  paths?: readonly string[],
): Promise<TargetServer> {
  const handler = (conn: Conn): unknown => echo(target, conn);
  const all: ServeOptions<AdmitOrRefuse> = {
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
    : serve(all, Object.fromEntries(paths.map((path) => [path, handler]))));
  whenOver(() => server.close({ timeout: 1 }));
  const target = new TargetServer(Number(new URL(server.url).port));
  return target;
}

/** Starts an Upgrader with an echo handler on a server of node:http. */
export async function targetUpgrader(
  options: UpgraderOptions<AdmitOrRefuse> = {},
  http: Server = createServer(),
): Promise<TargetServer> {
  http.on(
    'upgrade',
    new Upgrader(options).handler((conn) => echo(target, conn)),
  );
  http.on('request', (_req, res) => {
    target.served++;
    res.end('served');
  });
  const target = new TargetServer(await listening(http));
  whenOver(() => new Promise((resolve) => http.close(resolve)));
  return target;
}

function echo(target: TargetServer, conn: Conn): unknown {
  target.opened++;
  target.conn = conn;
  return conn.receive((message) => {
    target.messages++;
    return conn.send(message);
  });
}

/** A request whose `authenticate` is pending. */
export interface PendingRequest {
  readonly req: IncomingMessage;
  readonly signal: AbortSignal;
  /** Accepts the client. */
  answer(): void;
}

/** An `authenticate` whose promise the test settles. */
export class PendingAuthenticate {
  readonly #held: PendingRequest[] = [];

  readonly authenticate = (
    req: IncomingMessage,
    { signal }: { signal: AbortSignal },
  ): Promise<true> =>
    new Promise((resolve) => this.#held.push({ req, signal, answer: () => resolve(true) }));

  /** Waits for `count` pending requests and returns them. */
  async until(count: number): Promise<PendingRequest[]> {
    while (this.#held.length < count) await turn();
    return this.#held.splice(0);
  }
}

/** The server's end of a connection in memory: the test pushes input and reads `sent`. */
export class MemorySocket extends Duplex {
  sent = '';
  /** The server, as on each socket of node:http. */
  readonly server: Server;

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

  /** The client answers a FIN with its own. */
  override _final(done: () => void): void {
    this.push(null);
    done();
  }
}

/** The reply to a request. */
export interface Reply extends Answer {
  /** The number of responses on the connection. */
  readonly responses: number;
}

export interface SendOptions {
  /** Weighs memory between the reply and the end of the connection. */
  readonly weigh?: boolean;
}

/** Sends a changed request or raw bytes. Returns the complete reply. */
export async function sendRequest(
  watch: Watch | undefined,
  { port }: TargetServer,
  what: RequestChange | Uint8Array | string,
  { weigh = false }: SendOptions = {},
): Promise<Reply> {
  const client = await rawClient(port);
  const bytes = bytesOf(what);
  watch?.sent(bytes.length);
  client.stream.write(bytes);
  await untilWholeReply(client);
  if (weigh) watch?.weigh();
  client.destroy();
  await client.closed;
  // The server's end closes a few turns later.
  await expectNoSockets();
  const answer = parseAnswer(client.received.toString('latin1'));
  return { ...answer, responses: answer.raw.split('HTTP/1.1 ').length - 1 };
}

export async function sendRequests(
  watch: Watch,
  target: TargetServer,
  whats: readonly (RequestChange | string)[],
): Promise<Reply[]> {
  const replies: Reply[] = [];
  for (const what of whats) replies.push(await sendRequest(watch, target, what));
  return replies;
}

function bytesOf(what: RequestChange | Uint8Array | string): Uint8Array {
  if (typeof what === 'string') return Buffer.from(what, 'latin1');
  return what instanceof Uint8Array ? what : request(what);
}

/** Waits for a complete reply: the head of a 101, or the end of the connection. */
export async function untilWholeReply(client: RawPeer): Promise<void> {
  const head = await client.until(({ received }) => received.includes('\r\n\r\n') || client.ended);
  if (!head.toString('latin1').startsWith('HTTP/1.1 101 ')) await client.untilEnd();
}

/** Returns the value that all have in common, or a list of the different ones. */
export function commonValue<T>(values: Iterable<T>): T | string {
  const all = [...new Set(values)];
  return all.length === 1 ? all[0]! : all.join(', ');
}

export function statusOf(replies: readonly Reply[]): number | string {
  return commonValue(replies.map(({ status }) => status));
}

/** Returns how many of two valid requests the server fails to answer. */
export async function crashes(target: TargetServer): Promise<number> {
  const replies = [
    await sendRequest(undefined, target, {}),
    await sendRequest(undefined, target, {}),
  ];
  return replies.filter(({ status }) => status !== 101).length;
}

const SLOW_HEAD = request();

/** How a slow client sends its request: nothing, or one byte each `ms`. */
export type Pace = 'nothing' | { readonly ms: number };

/** A client that does not finish its request and never closes. */
export class SlowClient {
  readonly #client: RawPeer;
  #timer: NodeJS.Timeout | undefined;
  /** In ms. */
  readonly #start = performance.now();

  private constructor(client: RawPeer) {
    this.#client = client;
  }

  static async connect(port: number, pace: Pace): Promise<SlowClient> {
    const slow = new SlowClient(await rawClient(port));
    if (pace !== 'nothing') {
      let at = 0;
      const send = (): void => void slow.#client.write(SLOW_HEAD.subarray(at, ++at));
      slow.#timer = setInterval(send, pace.ms);
    }
    return slow;
  }

  /** Waits until the server ends the connection. */
  async ended(): Promise<{ socket: string; upgraded: number; ms: number }> {
    await this.#client.untilEnd();
    const ms = performance.now() - this.#start;
    clearInterval(this.#timer);
    const upgraded = this.#client.received.includes(' 101 ') ? 1 : 0;
    this.#client.end();
    await this.#client.closed;
    return { socket: 'destroyed', upgraded, ms };
  }
}
