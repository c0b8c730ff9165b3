// Our server, our client, or both, over HTTP/2 or HTTP/1.1 with TLS. See `Http2Answers`.
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { type Conn, type DialerOptions, dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { answer } from '../harness/child.ts';
import { type Memory, memory, type Usage, usage } from '../harness/usage.ts';
import { Latencies } from '../load/latencies.ts';
import { certificate } from './tls.ts';

/** Connections to open. */
export interface Http2Opening {
  readonly port: number;
  readonly connections: number;
  /** Sessions of HTTP/2 that carry them; 0: HTTP/1.1, each with its own TLS. */
  readonly sessions: number;
  /** Whether the sessions are new. Default: those of the last call, and more when they are too few. */
  readonly fresh?: boolean;
}

/** What the connections do. */
export interface Http2Traffic {
  /** Milliseconds. */
  readonly ms: number;
  /** Messages that a connection has in flight. */
  readonly depth: number;
  /** Bytes of a message. */
  readonly size: number;
  /** Whether the first connection sends as much as it can, and reads nothing. */
  readonly unread?: boolean;
}

/** The requests that the process answers. */
export type Http2Answers = {
  /** Starts an echo server. Returns its port. */
  listen: (nothing?: undefined) => Promise<number>;
  /** Opens all connections at once. */
  open: (opening: Http2Opening) => Promise<void>;
  /** Sends and receives for a while. Returns the number of echoes, and the 99th percentile in ms. */
  run: (traffic: Http2Traffic) => Promise<{ readonly messages: number; readonly p99: number }>;
  /** Closes the connections that `open` has opened. */
  close: (nothing?: undefined) => Promise<void>;
  usage: (nothing?: undefined) => Usage;
  /** Collects all garbage first. */
  memory: (collect: boolean) => Promise<Memory>;
};

const TLS = { rejectUnauthorized: false };

const conns: Conn[] = [];
const sessions: ClientHttp2Session[] = [];

async function listen(): Promise<number> {
  const options = { host: '127.0.0.1', tls: await certificate(), http2: true };
  const { url } = await serve(options, (conn) => conn.receive((message) => conn.send(message)));
  return Number(new URL(url).port);
}

async function sessionsWith(port: number, count: number): Promise<ClientHttp2Session[]> {
  while (sessions.length < count) {
    const session = connect(`https://127.0.0.1:${port}`, TLS);
    // `dial` reports it.
    session.on('error', () => {});
    await once(session, 'remoteSettings');
    sessions.push(session);
  }
  return sessions;
}

async function open(opening: Http2Opening): Promise<void> {
  const { port, connections, sessions: count, fresh = false } = opening;
  const url = `wss://127.0.0.1:${port}`;
  if (fresh) sessions.length = 0;
  const carriers = await sessionsWith(port, count);
  const optionsOf = (i: number): DialerOptions =>
    count === 0 ? { tls: TLS } : { http2: carriers[i % count]! };
  conns.push(
    ...(await Promise.all(Array.from({ length: connections }, (_, i) => dial(url, optionsOf(i))))),
  );
}

async function close(): Promise<void> {
  await Promise.all(conns.splice(0).map((conn) => conn.close()));
}

/** A connection with `depth` messages in flight, in turns of so many. */
class Echoes {
  readonly #conn: Conn;
  #message = new Uint8Array(0);
  #depth = 0;
  #missing = 0;
  #sentAt = 0;
  #until = 0;
  #latencies: Latencies | undefined;
  #onDone: () => void = () => {};

  constructor(conn: Conn) {
    this.#conn = conn;
    conn
      .receive(({ data }) => {
        if (data.length !== this.#message.length || data[0] !== this.#message[0]) {
          throw new Error('an echo differs');
        }
        if (--this.#missing === 0) this.#turnEnded();
      })
      .catch((error: unknown) => {
        throw error;
      });
  }

  run({ depth, size }: Http2Traffic, until: number, latencies: Latencies): Promise<void> {
    this.#message = new Uint8Array(size).fill(7);
    this.#depth = depth;
    this.#until = until;
    this.#latencies = latencies;
    return new Promise((done) => {
      this.#onDone = done;
      this.#turn();
    });
  }

  #turn(): void {
    this.#sentAt = performance.now();
    this.#missing = this.#depth;
    for (let i = 0; i < this.#depth; i++) void this.#conn.send(this.#message);
  }

  #turnEnded(): void {
    const now = performance.now();
    this.#latencies!.record(now - this.#sentAt);
    if (now < this.#until) this.#turn();
    else this.#onDone();
  }
}

const echoes = new Map<Conn, Echoes>();
const flooded = new Set<Conn>();

async function run(traffic: Http2Traffic): Promise<{ messages: number; p99: number }> {
  const { depth, ms, unread = false } = traffic;
  const latencies = new Latencies();
  if (unread) flood(conns[0]!);
  const until = performance.now() + ms;
  await Promise.all(
    conns.slice(unread ? 1 : 0).map((conn) => {
      let one = echoes.get(conn);
      if (one === undefined) {
        one = new Echoes(conn);
        echoes.set(conn, one);
      }
      return one.run(traffic, until, latencies);
    }),
  );
  return { messages: latencies.count * depth, p99: latencies.percentiles().p99 };
}

/** Sends until both ends wait: echoes are never read. */
function flood(conn: Conn): void {
  if (flooded.has(conn)) return;
  flooded.add(conn);
  const message = new Uint8Array(16 * 1024);
  void (async () => {
    for (;;) await conn.send(message);
  })().catch(() => {});
}

answer({
  listen,
  open,
  run,
  close,
  usage,
  memory,
} satisfies Http2Answers);
