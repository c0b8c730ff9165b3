import { Duplex, PassThrough } from 'node:stream';
import { ResponseHead } from '@ws/codec';
import { afterEach, expect, it, vi } from 'vitest';
import { relayRefusal } from '../../src/handshake/relay-refusal.ts';

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
  await relayRefusal(client, answer, [], 10_000);
  vi.advanceTimersByTime(5_000);
  while (takes.length > 0) {
    takes.shift()!();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(written).toMatch(/\r\n\r\nbody$/);
  expect(client.writableFinished).toBe(true);
  client.destroy();
});
