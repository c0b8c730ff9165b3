import { serve } from '@ws/node-server';
import { afterEach, describe, expect, it } from 'vitest';
import { makeCorpus } from '../../src/load/corpus.ts';
import { extensionsOf } from '../../src/load/handshake.ts';
import { LoadConnection } from '../../src/load/load-connection.ts';
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
    Number(new URL(server.url).port),
    OFFER,
    corpus,
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
    await expect(LoadConnection.open(port, OFFER, corpus, keptReplies(corpus))).rejects.toThrow(
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
