// The peer closes within a message. No way to read takes that for the end of the message, or for a
// normal end.

import { randomBytes } from 'node:crypto';
import { nodePlatform } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { CloseMessage, type Conn, connPair, joinMessages, TextMessage } from '../../src/index.ts';

const NOISE = randomBytes(100_000).toString('hex');

/** Reads until an error. Resolves when reading ends normally. */
const WAYS: Readonly<Record<string, (conn: Conn) => Promise<unknown>>> = {
  receive: (conn) => conn.receive(() => {}),
  async 'for await'(conn) {
    for await (const message of conn) message.text();
  },
  async readMessage(conn) {
    for (;;) await conn.readMessage();
  },
  async readJSON(conn) {
    for (;;) await conn.readJSON();
  },
  async 'nextReader, bytes'(conn) {
    for (;;) await (await conn.nextReader()).bytes();
  },
  async 'nextReader, for await'(conn) {
    for (;;) for await (const piece of await conn.nextReader()) void piece;
  },
  async 'nextReader, web stream'(conn) {
    for (;;) for await (const piece of (await conn.nextReader()).readable()) void piece;
  },
  async joinMessages(conn) {
    for await (const bytes of joinMessages(conn)) void bytes;
  },
  async toStreams(conn) {
    for await (const message of conn.toStreams().readable) void message;
  },
};

const ENDS: Readonly<Record<string, (client: Conn, server: Conn) => unknown>> = {
  'the peer closes with 1000': (client) => client.close(),
  'the peer closes with 1001': (client) => client.close(1001),
  'the peer closes without a code': (client) => client.writeControl(CloseMessage),
  'the peer closes with 4000': (client) => client.close(4000),
  'we close': (_, server) => server.close(),
};

const CASES = Object.keys(WAYS).flatMap((way) =>
  Object.keys(ENDS).flatMap((end) =>
    [false, true].map((compression) => ({ way, end, compression })),
  ),
);

describe('a message that is cut', () => {
  it.each(CASES)('fails $way when $end, compressed: $compression', async (test) => {
    const [client, server] = connPair({
      platform: nodePlatform,
      compression: test.compression,
      closeTimeout: 1_000,
    });
    void client.discardReads().catch(() => {});
    const reading = WAYS[test.way]!(server).then(
      () => 'a normal end',
      (error: unknown) => error,
    );
    await client.send('"whole"');
    const writer = await client.nextWriter(TextMessage);
    await writer.write('"'.padEnd(10_000, 'x'));
    await new Promise(setImmediate);
    ENDS[test.end]!(client, server);
    const error = await reading;
    expect(error).toMatchObject({ code: 'WS_ERR_TRANSPORT', cause: { code: 'WS_ERR_CLOSE' } });
    expect(String(error)).toContain('the connection was closed within a message: close');
    await expect(server.readMessage()).rejects.toBe(error);
  });

  it.each(
    Object.keys(WAYS).flatMap((way) => [false, true].map((compression) => ({ way, compression }))),
  )('fails $way when we close and it was dropped, compressed: $compression', async (test) => {
    const [client, server] = connPair({
      platform: nodePlatform,
      compression: test.compression,
      readAhead: 1_000,
    });
    void client.discardReads().catch(() => {});
    await client.send('"whole"');
    const writer = await client.nextWriter(TextMessage);
    void writer.write(NOISE).catch(() => {});
    for (let i = 0; i < 5; i++) await new Promise(setImmediate);
    // No code reads: what is behind the read-ahead is dropped.
    await server.close();
    const error = await WAYS[test.way]!(server).then(
      () => 'a normal end',
      (reason: unknown) => reason,
    );
    expect(String(error)).toContain('the connection was closed within a message: close');
  });

  it('ends discardReads normally', async () => {
    const [client, server] = connPair();
    const writer = await client.nextWriter(TextMessage);
    await writer.write('x'.repeat(10_000));
    const discarding = server.discardReads();
    void client.close();
    expect(await discarding).toMatchObject({ code: 1000, wasClean: true });
  });
});
