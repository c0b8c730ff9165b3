import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Duplex, PassThrough } from 'node:stream';
import { ResponseHead } from '@ws/codec';
import { checkUpgraderOptions, type UpgradeRequest, upgradeOfNode } from '@ws/node-server/internal';
import { afterEach, expect, it, vi } from 'vitest';
import { relayRefusal } from '../../src/handshake/relay-refusal.ts';

function responderOf(client: Duplex): UpgradeRequest['responder'] {
  const req = { rawHeaders: [] } as unknown as IncomingMessage;
  return upgradeOfNode(checkUpgraderOptions({}), req, client, Buffer.alloc(0)).responder;
}

afterEach(() => {
  vi.useRealTimers();
});

it('a refusal waits for a client that reads slowly', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  let written = '';
  const takes: (() => void)[] = [];
  const client = new Duplex({
    read() {},
    write(chunk: Buffer, _, taken) {
      written += String(chunk);
      takes.push(taken);
    },
  });
  const head = new ResponseHead();
  head.push(Buffer.from('HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\n'));
  const answer = { stream: new PassThrough(), head, rest: Buffer.from('body') };
  await relayRefusal(responderOf(client), answer, [], 10_000);
  vi.advanceTimersByTime(5_000);
  while (takes.length > 0) {
    takes.shift()!();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(written).toMatch(/\r\n\r\nbody$/);
  expect(client.writableFinished).toBe(true);
  client.destroy();
});

it('a body in chunks of one byte costs some writes, and no turn reads more than 64 KiB', async () => {
  const HEAD = 'HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n';
  const CHUNK = '1\r\nx\r\n';
  const SIZE = 256 * 1024;
  const writes: string[] = [];
  const client = new Duplex({
    read() {},
    write(chunk: Buffer, _, taken) {
      writes.push(String(chunk));
      taken();
    },
  });
  const head = new ResponseHead();
  head.push(Buffer.from(HEAD));
  const stream = new PassThrough();
  const rest = Buffer.from(`${CHUNK.repeat(SIZE)}0\r\n\r\n`);
  const answer = { stream, head, rest };
  let turns = 0;
  const count = (): void => {
    turns++;
    counter = setImmediate(count);
  };
  let counter = setImmediate(count);
  await relayRefusal(responderOf(client), answer, [], 10_000);
  clearImmediate(counter);
  const least = Math.floor(rest.length / (64 * 1024));
  expect(turns).toBeGreaterThanOrEqual(least);
  // The head, one chunk a turn, and the last chunk.
  expect(writes.length).toBeLessThanOrEqual(least + 4);
  const chunks = writes.slice(1).join('');
  expect(chunks).toMatch(/\r\n0\r\n\r\n$/);
  expect(chunks.replaceAll(/[^x]/g, '').length).toBe(SIZE);
  client.destroy();
});

it('a body that came before the end of its target passes whole', async () => {
  let written = '';
  const client = new Duplex({
    read() {},
    write(chunk: Buffer, _, taken) {
      written += String(chunk);
      taken();
    },
  });
  const head = new ResponseHead();
  head.push(Buffer.from('HTTP/1.1 403 Forbidden\r\n\r\n'));
  const stream = new PassThrough().resume();
  stream.end();
  await once(stream, 'end');
  await relayRefusal(
    responderOf(client),
    { stream, head, rest: Buffer.alloc(200_000, 'x') },
    [],
    10_000,
  );
  expect(written).toMatch(/x\r\n0\r\n\r\n$/);
  expect(written.replaceAll(/[^x]/g, '').length).toBe(200_000);
  client.destroy();
});
