// What compression keeps: the result of a prepared message, and the context beside an empty message.

import { randomBytes } from 'node:crypto';
import { connPair, PreparedMessage } from '@ws/conn';
import { nodePlatform } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { CountingSource, platformOn } from './support.ts';

describe('a large prepared message', () => {
  it.each([
    ['that shrinks', Buffer.alloc(200_000, 'abc')],
    ['that does not shrink', randomBytes(200_000)],
  ])('%s is compressed once', async (_, data) => {
    const source = new CountingSource('handle');
    const settings = { platform: platformOn(source), compression: true };
    const pairs = Array.from({ length: 5 }, () => connPair(settings));
    const message = new PreparedMessage(2, data);
    for (let i = 0; i < 4; i++) {
      await Promise.all(
        pairs.map(async ([client, server]) => {
          const read = client.readMessage();
          await server.writePreparedMessage(message);
          expect(Buffer.compare((await read).data, data)).toBe(0);
        }),
      );
    }
    expect(source.deflates).toBe(1);
    for (const pair of pairs) for (const conn of pair) conn.terminate();
  });
});

describe('an empty message', () => {
  it.each(['client', 'server'])('of a %s keeps the context of takeover', async (role) => {
    const [client, server] = connPair({
      platform: nodePlatform,
      compression: { mode: 'takeover', threshold: 0 },
    });
    const [conn, peer] = role === 'client' ? [client, server] : [server, client];
    const text = randomBytes(500).toString('base64');
    const sizes: number[] = [];
    for (const each of [text, '', text, '', text]) {
      const before = conn.stats.bytesOut;
      await conn.send(each);
      expect((await peer.readMessage()).text()).toBe(each);
      sizes.push(conn.stats.bytesOut - before);
    }
    expect(sizes[2]).toBeLessThan(sizes[0]! / 4);
    expect(sizes[4]).toBeLessThan(sizes[0]! / 4);
    conn.terminate();
  });
});
