import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { deflateRawSync } from 'node:zlib';
import { createWebSocketStream, WebSocket, WebSocketServer } from '@ws/compat';
import { hex, type RawPeer, rawClient, whenOver } from '@ws/tests';
import { afterEach, describe, expect, it, vi } from 'vitest';

const SIZES = [
  [10, 100],
  [200, 1024],
  [30, 16_384],
  [10, 65_536],
  [3, 300_000],
] as const;

/** A client that sends all frames in one chunk. */
async function peerOf(port: number): Promise<RawPeer> {
  const client = await rawClient(port);
  const add = ['Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover'];
  await client.upgrade({ add });
  client.startFrames();
  return client;
}

const CLOSE = hex('88 82 00 00 00 00 03 e8');

/** A masked, compressed message of a client. */
function compressed(bytes: Uint8Array): Buffer {
  const raw = deflateRawSync(bytes, { finishFlush: 2 });
  const payload = raw.subarray(0, raw.length - 4);
  const length = payload.length;
  const head = length < 126 ? [0xc2, 0x80 | length] : [0xc2, 0xfe, length >> 8, length & 255];
  return Buffer.concat([Buffer.from(head), Buffer.alloc(4), payload]);
}

async function echo(): Promise<{ port: number; errors: Error[] }> {
  const errors: Error[] = [];
  const port = await served((ws) => {
    const stream = createWebSocketStream(ws);
    stream.on('error', (error) => errors.push(error));
    stream.pipe(stream);
  });
  return { port, errors };
}

async function served(connected: (ws: WebSocket) => void): Promise<number> {
  const perMessageDeflate = { threshold: 0 };
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate });
  server.on('connection', connected);
  await once(server, 'listening');
  whenOver(() => {
    for (const ws of server.clients ?? []) ws.terminate();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

describe.each(SIZES)('EB2 a stream piped into itself, %i messages of %i bytes', (count, size) => {
  it('echoes all of them before it answers the close that came with them', async () => {
    const { port, errors } = await echo();
    const client = await peerOf(port);
    const message = compressed(new Uint8Array(size));
    await client.write(Buffer.concat([...Array<Buffer>(count).fill(message), CLOSE]));
    await client.sees(count + 1);
    const opcodes = client.frames.map(({ opcode }) => opcode);
    expect(opcodes).toEqual([...Array<number>(count).fill(2), 8]);
    expect(errors).toEqual([]);
  });

  it('gives a client all it has sent', async () => {
    const { port, errors } = await echo();
    const ws = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: { threshold: 0 } });
    const stream = createWebSocketStream(ws);
    let got = 0;
    stream.on('data', (chunk: Buffer) => (got += chunk.length));
    for (let i = 0; i < count; i++) stream.write(Buffer.alloc(size, i));
    stream.end();
    await once(stream, 'close');
    expect([got, errors]).toEqual([count * size, []]);
  });
});

type Later = (answer: () => Promise<void>) => void;

/** Ways in which an application answers a message. */
const WAYS: readonly (readonly [string, () => Later])[] = [
  ['in their turn', () => (answer) => void answer()],
  ['in a microtask', () => (answer) => void Promise.resolve().then(answer)],
  ['in a tick', () => (answer) => process.nextTick(() => void answer())],
  ['a turn later', () => (answer) => void setImmediate(() => void answer())],
  [
    'one after the other',
    () => {
      let last = Promise.resolve();
      return (answer) => void (last = last.then(answer));
    },
  ],
];

/** A server whose connections answer each message in a `way`. */
async function answering(way: Later) {
  const errors: string[] = [];
  let close!: (code: number) => void;
  const closed = new Promise<number>((resolve) => (close = resolve));
  const port = await served((ws) => {
    ws.on('close', close);
    ws.on('message', (data) => {
      way(async () => {
        const error = await new Promise<Error | null | undefined>((done) => ws.send(data, done));
        if (error) errors.push(error.message);
      });
    });
  });
  return { port, errors, closed };
}

describe('EB2 messages that a close follows in one chunk', () => {
  const message = compressed(new Uint8Array(100));
  afterEach(() => void vi.useRealTimers());

  /** The opcodes that a client gets, the errors of the sends, and the close code. */
  async function answersTo(sent: Buffer, way: Later, prepare = (): void => {}) {
    const { port, errors, closed } = await answering(way);
    const client = await peerOf(port);
    prepare();
    await client.write(Buffer.concat([sent, sent, sent, CLOSE]));
    await client.until(() => client.frames.some(({ opcode }) => opcode === 8));
    client.end();
    return [client.frames.map(({ opcode }) => opcode), errors, await closed];
  }

  it.each(WAYS)('are answered %s, when they are compressed', async (_, way) => {
    expect(await answersTo(message, way())).toEqual([[2, 2, 2, 8], [], 1000]);
  });

  it('are answered while the timers of the program are fake', async () => {
    const fake = (): void => void vi.useFakeTimers({ toFake: ['setTimeout', 'setImmediate'] });
    const result = await answersTo(message, (answer) => void answer(), fake);
    expect(result).toEqual([[2, 2, 2, 8], [], 1000]);
  });

  it('find the connection closing a turn later, when they are plain, as in ws', async () => {
    const notOpen = 'WebSocket is not open: readyState 2 (CLOSING)';
    const plain = Buffer.from('8282000000006869', 'hex');
    const result = await answersTo(plain, (answer) => void setImmediate(() => void answer()));
    expect(result).toEqual([[8], Array(3).fill(notOpen), 1000]);
  });

  it('end with the code of the close when the peer ends its half with it', async () => {
    const { port, closed } = await answering(() => {});
    const client = await peerOf(port);
    client.stream.end(Buffer.concat([message, message, CLOSE]));
    await client.until(() => client.ended);
    expect(await closed).toBe(1000);
  });
});
