import { once } from 'node:events';
import { type Conn, dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { type RawData, WebSocket } from 'ws';
import {
  expectNoSockets,
  nothingLeft,
  pattern,
  Random,
  rawClient,
  upgradeRequest,
  whenOver,
} from '../peers/index.ts';

const CROWD = 300;
const MESSAGES = 12;
/** Simultaneous dials: the listen queue must not overflow. */
const AT_ONCE = 100;

/** A message or ping of a client. */
type Sent = { readonly kind: 'text' | 'bytes' | 'ping'; readonly bytes: Buffer };

/** The messages of client `seed`, the same in every run. */
function script(seed: number): Sent[] {
  const random = new Random(seed);
  const sent: Sent[] = [];
  for (let i = 0; i < MESSAGES; i++) {
    const kind = (['text', 'bytes', 'bytes', 'ping'] as const)[random.below(4)]!;
    const large = random.below(6) === 0;
    const size = kind === 'ping' ? random.below(126) : random.below(large ? 70_001 : 2_000);
    const bytes = pattern(size, seed * 100 + i);
    // Text in ASCII has the same length in bytes.
    sent.push({
      kind,
      bytes: kind === 'text' ? Buffer.from(bytes.map((b) => 32 + (b % 90))) : bytes,
    });
  }
  return sent;
}

/** Compares the echoes of a client, and its pongs, with what it sent. */
class Echoes {
  readonly #messages: Sent[];
  readonly #pongs: Sent[];
  #fail!: (error: Error) => void;
  #complete!: () => void;
  /** Resolves when everything has arrived. */
  readonly done: Promise<void> = new Promise((resolve, reject) => {
    this.#complete = resolve;
    this.#fail = reject;
  });

  constructor(sent: readonly Sent[]) {
    this.#messages = sent.filter(({ kind }) => kind !== 'ping');
    this.#pongs = sent.filter(({ kind }) => kind === 'ping');
    this.#check();
  }

  message(binary: boolean, bytes: Uint8Array): void {
    const next = this.#messages.shift();
    if (next?.kind !== (binary ? 'bytes' : 'text') || !next.bytes.equals(bytes)) {
      this.#fail(new Error(`${bytes.length} unexpected bytes`));
    }
    this.#check();
  }

  pong(bytes: Uint8Array): void {
    const at = this.#pongs.findIndex((ping) => ping.bytes.equals(bytes));
    if (at < 0) this.#fail(new Error('unexpected pong'));
    // A server whose writes wait answers the newest ping only (RFC 6455, section 5.5.3).
    this.#pongs.splice(0, at + 1);
    this.#check();
  }

  /** The connection is over. */
  over(): void {
    this.#fail(new Error('closed before everything arrived'));
  }

  get isComplete(): boolean {
    return this.#messages.length + this.#pongs.length === 0;
  }

  #check(): void {
    if (this.isComplete) this.#complete();
  }
}

/** `done` resolves when a client has received every echo. */
interface Client {
  readonly done: Promise<void>;
  readonly close: () => Promise<unknown>;
}

async function ourClient(url: string, seed: number): Promise<Client> {
  // Its own pings would count too.
  const conn = await dial(url, { heartbeat: false });
  whenOver(() => conn.terminate());
  const sent = script(seed);
  const echoes = new Echoes(sent);
  conn.setPongHandler((payload) => echoes.pong(payload));
  const reading =
    seed % 2 === 0
      ? conn.receive((message) => echoes.message(message.type === 2, message.data))
      : (async () => {
          for await (const message of conn) echoes.message(message.type === 2, message.data);
        })();
  for (const { kind, bytes } of sent) {
    if (kind === 'ping') void conn.writeControl(9, bytes);
    else void conn.send(kind === 'text' ? bytes.toString('latin1') : bytes);
  }
  void reading.catch(() => {}).then(() => echoes.over());
  return { done: echoes.done, close: () => conn.close() };
}

async function wsClient(url: string, seed: number): Promise<Client> {
  const ws = new WebSocket(url, { perMessageDeflate: false });
  await once(ws, 'open');
  whenOver(() => ws.terminate());
  const sent = script(seed);
  const echoes = new Echoes(sent);
  ws.on('error', () => {});
  ws.on('close', () => echoes.over());
  ws.on('message', (data: RawData, binary) => echoes.message(binary, data as Buffer));
  ws.on('pong', (payload) => echoes.pong(payload));
  for (const { kind, bytes } of sent) {
    if (kind === 'ping') ws.ping(bytes);
    else ws.send(bytes, { binary: kind === 'bytes' });
  }
  const close = async (): Promise<void> => {
    ws.close(1000);
    await once(ws, 'close');
  };
  return { done: echoes.done, close };
}

/** Sends each message in two fragments, with pings between them, as one chunk. */
async function rawPeerClient(url: string, seed: number): Promise<Client> {
  const peer = await rawClient(Number(new URL(url).port), false);
  await peer.write(upgradeRequest(new URL(url).pathname));
  await peer.head();
  peer.startFrames();
  const sent = script(seed);
  const echoes = new Echoes(sent);
  const frames = sent.flatMap(({ kind, bytes }) => {
    if (kind === 'ping') return [peer.encode(9, bytes)];
    const half = bytes.length >> 1;
    return [
      peer.encode(kind === 'text' ? 1 : 2, bytes.subarray(0, half), false),
      peer.encode(0, bytes.subarray(half)),
    ];
  });
  const done = (async () => {
    void peer.write(Buffer.concat(frames));
    for (let i = 0; !echoes.isComplete; i++) {
      const { opcode, payload } = await peer.frame(i);
      if (opcode === 10) echoes.pong(payload);
      else echoes.message(opcode === 2, payload);
    }
  })();
  const close = async (): Promise<void> => {
    await peer.send(8, Buffer.from([0x03, 0xe8]));
    await peer.until(() => peer.ended);
    peer.end();
    await peer.closed;
  };
  return { done, close };
}

/** Echoes with the way of reading that the path names. */
function echo(conn: Conn, path: string): Promise<unknown> {
  switch (path) {
    case '/receive':
      return conn.receive((message) => conn.send(message));
    case '/unawaited':
      return conn.receive((message) => void conn.send(message));
    case '/loop':
      return (async () => {
        for await (const { type, data } of conn) await conn.writeMessage(type, data);
      })();
    default:
      return (async () => {
        for (;;) {
          const { type, data } = await conn.readMessage();
          void conn.writeMessage(type, data);
        }
      })();
  }
}

const PATHS = ['/receive', '/unawaited', '/loop', '/read'];
const CLIENTS = [ourClient, wsClient, ourClient, rawPeerClient, wsClient];

describe('a server with many clients', () => {
  nothingLeft();

  it('echoes every message of every client once and in order', async () => {
    const conns: Conn[] = [];
    const server = await serve({ host: '127.0.0.1' }, async (conn, req) => {
      conns.push(conn);
      await echo(conn, req.url ?? '');
    });
    whenOver(() => server.close());
    const clients: Client[] = [];
    for (let seed = 0; seed < CROWD; seed += AT_ONCE) {
      const dialing = Array.from({ length: AT_ONCE }, (_, i) => {
        const n = seed + i;
        const path = PATHS[(n >> 3) % PATHS.length]!;
        return CLIENTS[n % CLIENTS.length]!(`${server.url}${path}`, n);
      });
      clients.push(...(await Promise.all(dialing)));
    }
    expect(server.connections.size).toBe(CROWD);
    await Promise.all(clients.map(({ done }) => done));

    const sent = Array.from({ length: CROWD }, (_, seed) => script(seed)).flat();
    const pings = sent.filter(({ kind }) => kind === 'ping').length;
    const sum = { messagesIn: 0, messagesOut: 0, pingsIn: 0 };
    for (const { stats } of conns) {
      sum.messagesIn += stats.messagesIn;
      sum.messagesOut += stats.messagesOut;
      sum.pingsIn += stats.pingsIn;
    }
    const messages = sent.length - pings;
    expect(sum).toEqual({ messagesIn: messages, messagesOut: messages, pingsIn: pings });

    await Promise.all(clients.map(({ close }) => close()));
    const infos = await Promise.all(conns.map((conn) => conn.closed));
    expect(infos.every(({ code, wasClean }) => code === 1000 && wasClean)).toBe(true);
    expect(server.connections.size).toBe(0);
    await expectNoSockets();
  });
});
