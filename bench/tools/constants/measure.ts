import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createClient } from 'redis';
import { RedisServer, redisVersion } from '../../src/harness/redis.ts';
import { CONNECTIONS, type ConstantName, MESSAGE, ROOM } from './model.ts';

/** Connections before the measurement: they compile the code and pay the fixed costs. */
const WARM = 2_000;
const AT_ONCE = 100;
/** A busy machine takes long. */
const PATIENCE_MS = 300_000;
const ROUNDS = 20;
const MESSAGES = 20_000;
/** Messages that wait at once: fewer than a queue of the hub takes. */
const BATCH = 200;
const NODES = 20;
/** Joins and leaves that a node tells another one. */
const CHANGES = 20_000;
/** Members of another node whose memory is measured. */
const SHOWN = 9_000;
const TEXT = 'x'.repeat(MESSAGE);
/** A text frame: two bytes of header. */
const FRAME = MESSAGE + 2;

export type Measured = Partial<Record<ConstantName, number>>;

/** Measures all constants on this machine. */
export async function measure(): Promise<Measured> {
  return { ...(await measureNode()), ...(await measureRedis()) };
}

async function measureNode(): Promise<Measured> {
  const node = await MeasuredNode.start();
  const clients = new Clients(node.port);
  const resident = await node.ask('resident');
  await clients.open(WARM);
  // Lets the young generation of the heap grow to its full size.
  await rounds(node, clients, 'broadcast');
  const kernel = kernelMemory();
  const warm = await node.ask('resident');
  const begin = await node.ask('cpu');
  const more = CONNECTIONS - WARM;
  await clients.open(more);
  const opening = ((await node.ask('cpu')) - begin) / more;
  const kernelEach = (kernelMemory() - kernel) / more / 2;
  const broadcast = await rounds(node, clients, 'broadcast');
  const member = await rounds(node, clients, 'rooms');
  const full = await node.ask('resident');
  clients.close();
  node.end();
  return {
    process: resident,
    connection: (full - warm) / more,
    kernel: kernelEach,
    opening,
    broadcast,
    member,
  };
}

/** CPU in µs of one message to one session. */
async function rounds(
  node: MeasuredNode,
  clients: Clients,
  what: 'broadcast' | 'rooms',
): Promise<number> {
  let begin = 0;
  for (let round = -2; round < ROUNDS; round++) {
    if (round === 0) begin = await node.ask('cpu');
    const before = clients.bytes;
    await node.ask(what, TEXT);
    await clients.received(clients.count * FRAME, before);
  }
  return ((await node.ask('cpu')) - begin) / ROUNDS / clients.count;
}

async function measureRedis(): Promise<Measured> {
  if (redisVersion() === undefined) throw new Error('redis-server is not on the PATH');
  const redis = await RedisServer.start(undefined);
  const client = await redisClient(redis.port);
  try {
    return {
      ...(await measureDelivery(redis.port, client)),
      ...(await measureEngine(redis.port, client)),
      ...(await measurePresence(redis.port)),
    };
  } finally {
    client.destroy();
    await redis.end();
  }
}

/** What a node spends on the members of others. */
async function measurePresence(port: number): Promise<Measured> {
  const [here, there] = [await MeasuredNode.start(port), await MeasuredNode.start(port)];
  await here.ask('show', 1);
  await there.ask('show', 100);
  const knows = (count: number) => until(async () => (await here.ask('known')) === count);
  await knows(101);
  await there.ask('churn', CHANGES / 10);
  await knows(101);
  const begin = await Promise.all([here.ask('cpu'), there.ask('cpu')]);
  await there.ask('churn', CHANGES);
  await knows(101);
  const end = await Promise.all([here.ask('cpu'), there.ask('cpu')]);
  const heap = await here.ask('heap');
  await there.ask('show', SHOWN);
  await knows(101 + SHOWN);
  const known = ((await here.ask('heap')) - heap) / SHOWN;
  here.end();
  there.end();
  return { change: (end[0] - begin[0]) / CHANGES, told: (end[1] - begin[1]) / CHANGES, known };
}

async function measureDelivery(port: number, client: Redis): Promise<Measured> {
  let got = 0;
  const subscribers: Redis[] = [];
  for (let i = 0; i < NODES; i++) {
    const subscriber = await redisClient(port);
    await subscriber.subscribe('ws:{room/r}', () => void got++);
    subscribers.push(subscriber);
  }
  const cpu = await redisCpu(client);
  for (let sent = 0; sent < MESSAGES; sent += 500) {
    await Promise.all(Array.from({ length: 500 }, () => client.publish('ws:{room/r}', ` ${TEXT}`)));
  }
  await until(() => got === MESSAGES * NODES);
  const delivery = ((await redisCpu(client)) - cpu) / MESSAGES / NODES;
  const memory = await info(client, 'memory', 'used_memory');
  const rooms = 100_000;
  for (let i = 0; i < rooms; i += 1_000) {
    const names = Array.from({ length: 1_000 }, (_, n) => `ws:{room/chat/${i + n}}`);
    await subscribers[0]!.subscribe(names, () => {});
  }
  const subscription = ((await info(client, 'memory', 'used_memory')) - memory) / rooms;
  for (const subscriber of subscribers) subscriber.destroy();
  return { delivery, subscription };
}

async function measureEngine(port: number, client: Redis): Promise<Measured> {
  const node = await MeasuredNode.start(port);
  const clients = new Clients(node.port);
  await clients.open(1);
  // The node has subscribed.
  await until(async () => (await client.publish('ws:{room/one}', envelope(1))) === 1);
  let sent = 1;
  await until(async () => (await node.delivered()) === sent);

  let counter = 1;
  let begin = await node.ask('cpu');
  for (let i = 0; i < MESSAGES; i += BATCH) {
    const frames = Array.from({ length: BATCH }, () => envelope(++counter));
    await Promise.all(frames.map((frame) => client.publish('ws:{room/one}', frame)));
    sent += BATCH;
    // More than the bound of the member's queue may not wait.
    await until(async () => (await node.delivered()) === sent);
  }
  const arrival = ((await node.ask('cpu')) - begin) / MESSAGES;
  begin = await node.ask('cpu');
  await node.ask('publish', { text: TEXT, times: MESSAGES });
  const publication = ((await node.ask('cpu')) - begin) / MESSAGES;
  clients.close();
  node.end();
  return { arrival, publication };
}

/** The kind of a text in a room without history. */
const TEXT_KIND = 0x41;

/** A message of a hub, see packages/hub/src/backplane/envelope.ts, after the space of redis/frame.ts. */
function envelope(counter: number): Buffer {
  const id = Buffer.from('load');
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(counter));
  const head = Buffer.of(0x20, 1, TEXT_KIND, id.length);
  return Buffer.concat([head, id, number, Buffer.from(TEXT)]);
}

/** The process of node.mjs. */
class MeasuredNode {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#process = child;
    this.port = port;
  }

  static async start(redisPort = 0): Promise<MeasuredNode> {
    const child = fork(
      fileURLToPath(new URL('node.mjs', import.meta.url)),
      [String(ROOM), String(redisPort)],
      { execArgv: ['--expose-gc'] },
    );
    const [{ value }] = (await once(child, 'message')) as [{ value: number }];
    return new MeasuredNode(child, value);
  }

  async ask<T = number>(name: string, argument?: unknown): Promise<T> {
    const answer = once(this.#process, 'message') as Promise<[{ value: T }]>;
    this.#process.send({ name, argument });
    const [{ value }] = await answer;
    return value;
  }

  async delivered(): Promise<number> {
    return (await this.ask<{ delivered: number }>('stats')).delivered;
  }

  end(): void {
    this.#process.disconnect();
  }
}

/** Clients that count the received bytes and send no frame. */
class Clients {
  bytes = 0;
  readonly #port: number;
  readonly #sockets: Socket[] = [];
  readonly #buffer = Buffer.alloc(64 * 1024);

  constructor(port: number) {
    this.#port = port;
  }

  async open(count: number): Promise<void> {
    for (let opened = 0; opened < count; opened += AT_ONCE) {
      const batch = Math.min(AT_ONCE, count - opened);
      await Promise.all(Array.from({ length: batch }, () => this.#openOne()));
    }
  }

  get count(): number {
    return this.#sockets.length;
  }

  /** Resolves when `this.bytes` is at least `before + bytes`. */
  received(bytes: number, before: number): Promise<void> {
    return until(() => this.bytes - before >= bytes);
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #openOne(): Promise<void> {
    return new Promise((resolve, reject) => {
      let upgraded = false;
      const socket = connect({
        port: this.#port,
        host: '127.0.0.1',
        onread: {
          buffer: this.#buffer,
          callback: (length) => {
            if (upgraded) this.bytes += length;
            upgraded = true;
            resolve();
            return true;
          },
        },
      });
      socket.on('error', reject);
      socket.write(REQUEST);
      this.#sockets.push(socket);
    });
  }
}

const REQUEST = [
  'GET / HTTP/1.1',
  'Host: 127.0.0.1',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n');

type Redis = Awaited<ReturnType<typeof redisClient>>;

async function redisClient(port: number) {
  const client = createClient({ socket: { host: '127.0.0.1', port } });
  await client.connect();
  return client;
}

async function info(client: Redis, section: string, name: string): Promise<number> {
  const value = new RegExp(`^${name}:([\\d.]+)`, 'm').exec(await client.info(section))?.[1];
  return Number(value);
}

/** Microseconds of CPU. */
async function redisCpu(client: Redis): Promise<number> {
  const names = ['used_cpu_sys', 'used_cpu_user'];
  const [sys, user] = await Promise.all(names.map((name) => info(client, 'cpu', name)));
  return (sys! + user!) * 1e6;
}

/** Bytes of the kernel's slab caches, which include its sockets. */
function kernelMemory(): number {
  const kib = /^Slab:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return Number(kib) * 1024;
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error('no end after 5 min');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
