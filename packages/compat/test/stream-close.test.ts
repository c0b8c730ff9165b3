import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { deflateRawSync } from 'node:zlib';
import { createWebSocketStream, WebSocket, WebSocketServer } from '@ws/compat';
import { hex, type RawPeer, rawClient, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';

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

describe('EB2 compressed messages that a close follows in one chunk', () => {
  it.each<[string, (answer: () => void) => void, string[]]>([
    ['are answered in their turn', (answer) => answer(), []],
    [
      'find the connection closing a turn later, as without compression in ws',
      (answer) => void setImmediate(answer),
      Array<string>(3).fill('WebSocket is not open: readyState 2 (CLOSING)'),
    ],
  ])('%s', async (_, later, expected) => {
    const errors: string[] = [];
    const port = await served((ws) => {
      ws.on('message', (data) => {
        later(() => ws.send(data, (error) => error && errors.push(error.message)));
      });
    });
    const client = await peerOf(port);
    const message = compressed(new Uint8Array(100));
    await client.write(Buffer.concat([message, message, message, CLOSE]));
    await client.until(() => client.frames.some(({ opcode }) => opcode === 8));
    await expect.poll(() => errors).toEqual(expected);
    expect(client.frames.map(({ opcode }) => opcode)).toEqual(
      expected.length > 0 ? [8] : [2, 2, 2, 8],
    );
  });
});
