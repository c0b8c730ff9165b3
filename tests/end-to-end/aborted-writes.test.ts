// A write that rejects while the connection is open was not sent: not one of 80 whose signal aborts.

import { randomBytes } from 'node:crypto';
import { type Conn, type ConnPairOptions, connPair, TextMessage } from '@ws/conn';
import { dial } from '@ws/node-client';
import { nodePlatform } from '@ws/node-io';
import { serve } from '@ws/node-server';
import { whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';

const WRITES = 80;
const ABORTED = new Error('aborted');

type Data = string | Uint8Array;
/** Sends the message with the number `i`. */
type Send = (conn: Conn, data: Data, signal: AbortSignal, i: number) => Promise<void>;

const NOISE = randomBytes(1_000_000).toString('base64');
/** The message with the number `i`. */
const noise = (size: number, i: number): string => {
  const start = (i * 5_003) % (NOISE.length - size);
  return `${i} ${NOISE.slice(start, start + size)}`;
};
const numberOf = (text: string): number => Number(text.slice(0, text.indexOf(' ')));

const WAYS: Readonly<Record<string, { size: number; send: Send }>> = {
  texts: { size: 3_000, send: (conn, data, signal) => conn.send(data, { signal }) },
  'large texts': { size: 20_000, send: (conn, data, signal) => conn.send(data, { signal }) },
  bytes: {
    size: 3_000,
    send: (conn, data, signal) => conn.send(Buffer.from(data as string), { signal }),
  },
  'large bytes': {
    size: 20_000,
    send: (conn, data, signal) => conn.send(Buffer.from(data as string), { signal }),
  },
  'every other one without a signal': {
    size: 3_000,
    send: (conn, data, signal, i) => conn.send(data, i % 2 === 0 ? { signal } : undefined),
  },
  'messages uncompressed': {
    size: 3_000,
    send: (conn, data, signal) => conn.writeMessage(TextMessage, data, { signal, compress: false }),
  },
};

const SETTINGS: Readonly<Record<string, ConnPairOptions>> = {
  plain: {},
  compressed: { compression: true },
  'with takeover': { compression: 'takeover' },
  'above maxBytes': { compression: { maxBytes: 1_000 } },
};

/** What the peer gets, until the connection closes. */
async function received(peer: Conn): Promise<number[]> {
  const numbers: number[] = [];
  for await (const message of peer) numbers.push(numberOf(message.text()));
  return numbers;
}

/** The numbers of the writes that did not reject, when all have settled. */
async function settled(writes: readonly Promise<void>[]): Promise<number[]> {
  const results = await Promise.allSettled(writes);
  const reasons = results.flatMap((result) =>
    result.status === 'rejected' ? [result.reason] : [],
  );
  expect(reasons.every((reason) => reason === ABORTED)).toBe(true);
  return results.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
}

const turns = async (n = 5): Promise<void> => {
  for (let i = 0; i < n; i++) await new Promise(setImmediate);
};

describe.each(Object.entries(SETTINGS))('%s', (_settings, settings) => {
  describe.each(Object.entries(WAYS))('%s', (_way, { size, send }) => {
    it.each(['client', 'server'])('a %s sends those that did not reject', async (role) => {
      for (const abortAfter of [0, 5]) {
        const [client, server] = connPair({
          ...settings,
          platform: nodePlatform,
          readAhead: 1,
          maxBufferedAmount: false,
        });
        const [conn, peer] = role === 'client' ? [client, server] : [server, client];
        const control = new AbortController();
        const writes: Promise<void>[] = [];
        for (let i = 0; i < WRITES; i++) {
          writes.push(send(conn, noise(size, i), control.signal, i));
          if (i % 20 === 19) await turns(1);
        }
        await turns(abortAfter);
        control.abort(ABORTED);
        void conn.send('end ');
        const numbers = received(peer);
        const sent = await settled(writes);
        void conn.close();
        expect((await numbers).filter((i) => !Number.isNaN(i))).toEqual(sent);
        expect(sent.length).toBeLessThan(WRITES);
      }
    });
  });
});

describe('writes with signals of their own', () => {
  it('are taken back one by one, while the others are sent in order', async () => {
    const [conn, peer] = connPair({ readAhead: 1, maxBufferedAmount: false });
    const controls = Array.from({ length: WRITES }, () => new AbortController());
    const writes = controls.map(({ signal }, i) => conn.send(noise(3_000, i), { signal }));
    await turns();
    for (let i = 0; i < WRITES; i += 3) controls[i]!.abort(ABORTED);
    const numbers = received(peer);
    const sent = await settled(writes);
    void conn.close();
    expect(await numbers).toEqual(sent);
    expect(sent.length).toBeLessThan(WRITES);
    expect(conn.stats.messagesOut).toBe(sent.length);
  });

  it('are taken back while an open writer sends pieces', async () => {
    const [conn, peer] = connPair({ readAhead: 1, maxBufferedAmount: false });
    const control = new AbortController();
    const writer = await conn.nextWriter(TextMessage);
    await writer.write(`0 ${'x'.repeat(5_000)}`);
    const writes = [writer.write('x'.repeat(200_000))];
    for (let i = 1; i < WRITES; i++) {
      writes.push(conn.send(noise(3_000, i), i % 2 === 0 ? { signal: control.signal } : {}));
    }
    await turns();
    control.abort(ABORTED);
    const numbers = received(peer);
    await writer.close();
    const sent = await settled(writes);
    void conn.close();
    expect(await numbers).toEqual(sent);
    expect(sent.length).toBe(WRITES / 2 + 1);
  });

  it('of borrowed messages are sent unless they reject', async () => {
    const numbers: number[] = [];
    const server = await serve({ port: 0, host: '127.0.0.1', maxBufferedAmount: false }, (conn) => {
      const control = new AbortController();
      const writes: Promise<void>[] = [];
      return conn.receive(async (message) => {
        if (message.length > 3) {
          writes.push(conn.send(message, { signal: control.signal }));
          return;
        }
        control.abort(ABORTED);
        const results = await Promise.allSettled(writes);
        const sent = results.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
        await conn.writeJSON(sent);
      });
    });
    whenOver(() => server.close({ timeout: 1 }));
    const conn = await dial(server.url, { readAhead: 1, maxBufferedAmount: false });
    for (let i = 0; i < WRITES; i++) void conn.send(noise(250_000, i));
    await conn.send('end');
    for (;;) {
      const text = (await conn.readMessage()).text();
      if (text.startsWith('[')) {
        expect(numbers).toEqual(JSON.parse(text));
        break;
      }
      numbers.push(numberOf(text));
    }
    expect(numbers.length).toBeLessThan(WRITES);
    await conn.close();
  });
});
