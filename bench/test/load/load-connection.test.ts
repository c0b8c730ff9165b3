import { serve } from '@ws/node-server';
import { afterEach, describe, expect, it } from 'vitest';
import { makeCorpus } from '../../src/load/corpus.ts';
import { extensionsOf } from '../../src/load/handshake.ts';
import { Latencies } from '../../src/load/latencies.ts';
import { LoadConnection } from '../../src/load/load-connection.ts';
import { pace } from '../../src/load/pace.ts';
import { keptReplies } from '../../src/load/replies.ts';

const OFFER = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';
const corpus = makeCorpus({ size: 300, count: 8, context: 'shared', windowBits: 15 });

let server: Awaited<ReturnType<typeof serve>> | undefined;
afterEach(async () => {
  await server?.close({ timeout: 1000 });
});

async function connect(echo: (data: Uint8Array) => Uint8Array): Promise<LoadConnection> {
  server = await serve({ host: '127.0.0.1', compression: true }, (conn) => {
    conn.receive((message) => conn.writeMessage(1, echo(message.data))).catch(() => {});
  });
  const { connection, agreed } = await LoadConnection.open(
    { port: Number(new URL(server.url).port), offer: OFFER },
    corpus.frames,
    keptReplies(corpus),
  );
  expect(agreed).toBe('permessage-deflate; client_no_context_takeover; server_no_context_takeover');
  return connection;
}

function run(connection: LoadConnection, depth: number, messages: number): Promise<void> {
  let left = messages;
  const mayContinue = (): boolean => left-- > 0;
  return new Promise((onDone, onError) => connection.run({ depth, mayContinue, onDone, onError }));
}

describe('LoadConnection', () => {
  it.each([1, 3, 20])('keeps %i messages in flight and gets each echo', async (depth) => {
    const connection = await connect((data) => data);
    await run(connection, depth, 21);
    expect(connection.echoed).toBe(21);
    expect(connection.bytes).toBeGreaterThan(21 * 100);
    expect(connection.check()).toEqual({ messages: 21, compressed: 21 });
    await run(connection, depth, 2);
    expect(connection.check()).toEqual({ messages: 2, compressed: 2 });
    connection.destroy();
  });

  it('records the latency of each message of a closed loop', async () => {
    const connection = await connect((data) => data);
    const latencies = new Latencies();
    let left = 50;
    const mayContinue = (): boolean => left-- > 0;
    await new Promise<void>((onDone, onError) =>
      connection.run({ depth: 4, mayContinue, latencies, onDone, onError }),
    );
    const { p50, most } = latencies.percentiles();
    expect(p50).toBeGreaterThan(0);
    expect(most).toBeGreaterThanOrEqual(p50);
    connection.destroy();
  });

  it('counts latency from the due moment, also of a message that waits for a place', async () => {
    const connection = await connect((data) => data);
    const latencies = new Latencies();
    const before = performance.now() - 1000;
    await new Promise<void>((onDone, onError) => {
      const mayContinue = (): boolean => false;
      connection.pace({ depth: 2, mayContinue, latencies, onDone, onError });
      for (let i = 0; i < 5; i++) connection.plan(before);
    });
    while (!connection.idle) await new Promise(setImmediate);
    expect(connection.check().messages).toBe(5);
    expect(latencies.percentiles().p50).toBeGreaterThan(1000);
    connection.destroy();
  });

  it('sends every message of a fixed rate', async () => {
    const connection = await connect((data) => data);
    const latencies = new Latencies();
    const mayContinue = (): boolean => false;
    let fail: (error: Error) => void = () => {};
    const failed = new Promise<never>((_, reject) => (fail = reject));
    connection.pace({ depth: 9, mayContinue, latencies, onDone() {}, onError: fail });
    await pace([connection], 2000, 50);
    while (!connection.idle) await Promise.race([failed, new Promise(setImmediate)]);
    expect(connection.check().messages).toBe(100);
    connection.destroy();
  });

  it('closes by a close handshake', async () => {
    const connection = await connect((data) => data);
    const [conn] = server!.connections;
    await connection.close();
    expect(await conn!.closed).toMatchObject({ code: 1000, wasClean: true });
  });

  it('detects a server that changes its echoes', async () => {
    const connection = await connect((data) => data.map((byte) => (byte === 0x22 ? 0x27 : byte)));
    await run(connection, 1, 1);
    expect(() => connection.check()).toThrow('an echo differs');
    connection.destroy();
  });

  it('fails when the server closes', async () => {
    const connection = await connect(() => {
      throw new Error('no echo');
    });
    await expect(run(connection, 1, 1)).rejects.toThrow('unexpected frame');
    connection.destroy();
  });

  it('rejects without a server', async () => {
    await connect((data) => data);
    const port = Number(new URL(server!.url).port);
    await server!.close({ timeout: 1 });
    await expect(LoadConnection.open({ port }, corpus.frames, keptReplies(corpus))).rejects.toThrow(
      'ECONNREFUSED',
    );
  });
});

describe('extensionsOf', () => {
  it('returns a canonical form', () => {
    const head = 'HTTP/1.1 101 x\r\nSec-WebSocket-Extensions: e; b ;a=1\r\nUpgrade: websocket';
    expect(extensionsOf(head)).toBe('e; a=1; b');
    expect(extensionsOf('HTTP/1.1 101 x')).toBe('');
  });
});
