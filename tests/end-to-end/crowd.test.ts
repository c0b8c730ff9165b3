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
} from '../../src/peers/index.ts';

const CROWD = 1_000;
const MESSAGES = 12;
/** Dials at a time, so that no listening queue overflows. */
const AT_ONCE = 100;

/** What one client says: messages, with pings between them. */
type Said = { readonly kind: 'text' | 'bytes' | 'ping'; readonly bytes: Buffer };

/** A script of its own for each client, the same in every run. */
function script(seed: number): Said[] {
  const random = new Random(seed);
  const said: Said[] = [];
  for (let i = 0; i < MESSAGES; i++) {
    const kind = (['text', 'bytes', 'bytes', 'ping'] as const)[random.below(4)]!;
    const large = random.below(6) === 0;
    const size = kind === 'ping' ? random.below(126) : random.below(large ? 70_001 : 2_000);
    const bytes = pattern(size, seed * 100 + i);
    // Text is one byte a character here, its length the same.
    said.push({
      kind,
      bytes: kind === 'text' ? Buffer.from(bytes.map((b) => 32 + (b % 90))) : bytes,
    });
  }
  return said;
}

/** What came back to a client, in the order of arrival: messages, and apart from them pongs. */
class Heard {
  readonly #messages: Said[];
  readonly #pongs: Said[];
  readonly #name: string;
  #complete!: () => void;
  readonly #all: Promise<void> = new Promise((resolve) => {
    this.#complete = resolve;
  });

  constructor(name: string, said: readonly Said[]) {
    this.#name = name;
    this.#messages = said.filter(({ kind }) => kind !== 'ping');
    this.#pongs = said.filter(({ kind }) => kind === 'ping');
    this.#check();
  }

  message(binary: boolean, bytes: Uint8Array): void {
    const next = this.#messages.shift();
    if (next?.kind !== (binary ? 'bytes' : 'text') || !next.bytes.equals(bytes)) {
      throw new Error(`${this.#name}: ${bytes.length} bytes that were not next`);
    }
    this.#check();
  }

  pong(bytes: Uint8Array): void {
    const at = this.#pongs.findIndex((ping) => ping.bytes.equals(bytes));
    if (at < 0) throw new Error(`${this.#name}: no such ping`);
    // While its writes wait a server answers the newest ping only (RFC 6455, section 5.5.3).
    this.#pongs.splice(0, at + 1);
    this.#check();
  }

  /** Resolves when all is there; rejects as `over` does, or when that resolves too early. */
  async before(over: Promise<unknown>): Promise<void> {
    await Promise.race([this.#all, over]);
    if (!this.isComplete) throw new Error(`${this.#name}: over before all was heard`);
  }

  get isComplete(): boolean {
    return this.#messages.length + this.#pongs.length === 0;
  }

  #check(): void {
    if (this.isComplete) this.#complete();
  }
}

/** A client that has said its piece and heard all of it back when `done` resolves; then it closes when told. */
interface Client {
  readonly done: Promise<void>;
  readonly close: () => Promise<unknown>;
}

async function ourClient(url: string, seed: number): Promise<Client> {
  const { conn } = await dial(url);
  whenOver(() => conn.terminate());
  const said = script(seed);
  const heard = new Heard(url, said);
  conn.setPongHandler((payload) => heard.pong(payload));
  const reading =
    seed % 2 === 0
      ? conn.receive((message) => heard.message(message.type === 2, message.data))
      : (async () => {
          for await (const message of conn) heard.message(message.type === 2, message.data);
        })();
  for (const { kind, bytes } of said) {
    if (kind === 'ping') void conn.writeControl(9, bytes);
    else void conn.send(kind === 'text' ? bytes.toString('latin1') : bytes);
  }
  return { done: heard.before(reading), close: () => conn.close() };
}

async function wsClient(url: string, seed: number): Promise<Client> {
  const ws = new WebSocket(url, { perMessageDeflate: false });
  await once(ws, 'open');
  whenOver(() => ws.terminate());
  const said = script(seed);
  const heard = new Heard(url, said);
  const over = new Promise<void>((_, reject) => {
    const tried = (hear: () => void): void => {
      try {
        hear();
      } catch (error) {
        reject(error);
      }
    };
    ws.on('error', reject);
    ws.on('close', () => reject(new Error('closed')));
    ws.on('message', (data: RawData, binary) => tried(() => heard.message(binary, data as Buffer)));
    ws.on('pong', (payload) => tried(() => heard.pong(payload)));
  });
  for (const { kind, bytes } of said) {
    if (kind === 'ping') ws.ping(bytes);
    else ws.send(bytes, { binary: kind === 'bytes' });
  }
  const close = async (): Promise<void> => {
    ws.close(1000);
    await once(ws, 'close');
  };
  return { done: heard.before(over), close };
}

/** Sends its messages in two fragments each, pings between them, everything as one stream of bytes. */
async function anyClient(url: string, seed: number): Promise<Client> {
  const peer = await rawClient(Number(new URL(url).port), false);
  await peer.bytes(upgradeRequest(new URL(url).pathname));
  await peer.head();
  peer.startFrames();
  const said = script(seed);
  const heard = new Heard(url, said);
  const frames = said.flatMap(({ kind, bytes }) => {
    if (kind === 'ping') return [peer.encode(9, bytes)];
    const half = bytes.length >> 1;
    return [
      peer.encode(kind === 'text' ? 1 : 2, bytes.subarray(0, half), false),
      peer.encode(0, bytes.subarray(half)),
    ];
  });
  const done = (async () => {
    void peer.bytes(Buffer.concat(frames));
    for (let i = 0; !heard.isComplete; i++) {
      const { opcode, payload } = await peer.frame(i);
      if (opcode === 10) heard.pong(payload);
      else heard.message(opcode === 2, payload);
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

/** An echo, by the way of reading that the path names. */
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
const CLIENTS = [ourClient, wsClient, ourClient, anyClient, wsClient];

describe('a server with a crowd of clients', () => {
  nothingLeft();

  it('echoes every message of every client once and in order, and leaves nothing', async () => {
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

    const said = Array.from({ length: CROWD }, (_, seed) => script(seed)).flat();
    const pings = said.filter(({ kind }) => kind === 'ping').length;
    const sum = { messagesIn: 0, messagesOut: 0, pingsIn: 0 };
    for (const { stats } of conns) {
      sum.messagesIn += stats.messagesIn;
      sum.messagesOut += stats.messagesOut;
      sum.pingsIn += stats.pingsIn;
    }
    const messages = said.length - pings;
    expect(sum).toEqual({ messagesIn: messages, messagesOut: messages, pingsIn: pings });

    await Promise.all(clients.map(({ close }) => close()));
    const infos = await Promise.all(conns.map((conn) => conn.closed));
    expect(infos.every(({ code, wasClean }) => code === 1000 && wasClean)).toBe(true);
    expect(server.connections.size).toBe(0);
    await expectNoSockets();
  }, 30_000);
});
