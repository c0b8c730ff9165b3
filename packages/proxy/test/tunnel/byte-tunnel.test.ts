import { once } from 'node:events';
import type { Socket } from 'node:net';
import { nothingLeft } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { front, openPair, pair, rawTarget } from '../support.ts';

describe('the mode bytes', () => {
  nothingLeft();

  it('passes anything unread', async () => {
    const { client, target, proxied } = await pair({ mode: 'bytes' });
    await client.write(client.encode(5, 'unknown opcode', { rsv: 0x30 }));
    await expect(target.frame()).rejects.toThrow('invalid frame');
    expect(proxied.stats.in).toEqual({ bytes: 20, frames: 0, messages: 0 });
  });

  it('passes a FIN as a FIN, and the other half stays open', async () => {
    const { client, target, proxied } = await pair({ mode: 'bytes' });
    client.end();
    await target.until(({ ended }) => ended);
    await target.send(1, 'still there');
    expect(await client.sees(1)).toEqual(['text still there']);
    target.end();
    await client.until(({ ended }) => ended);
    expect(await proxied.closed).toMatchObject({ endedBy: 'client', code: 1006 });
  });

  it.each(['client', 'target'] as const)('passes a reset of the %s as a reset', async (who) => {
    const opened = await pair({ mode: 'bytes' });
    const other = who === 'client' ? opened.target : opened.client;
    opened[who].reset();
    await other.closed;
    expect((other.error as NodeJS.ErrnoException).code).toBe('ECONNRESET');
    expect(await opened.proxied.closed).toMatchObject({ endedBy: who });
  });

  it('ends both by a FIN at proxy.close', async () => {
    const { client, target, front } = await pair({ mode: 'bytes' });
    const closing = front.proxy.close({ timeout: 60_000 });
    await Promise.all([client.finish(), target.finish()]);
    await closing;
  });

  it('sees the FIN of a client that was stopped at proxy.close', async () => {
    const backend = await rawTarget();
    const between = await front(backend.url, { mode: 'bytes' });
    const upgraded = once(between.server, 'upgrade') as Promise<[unknown, Socket]>;
    const { client, target } = await openPair(between, backend);
    const [, socket] = await upgraded;
    target.stream.pause();
    client.stream.end(Buffer.alloc(64 * 1024 * 1024));
    await expect.poll(() => socket.isPaused()).toBe(true);
    const closing = between.proxy.close({ timeout: false });
    target.stream.resume();
    target.end();
    await Promise.all([client.closed, target.closed, closing]);
    expect([client.error, target.error]).toEqual([undefined, undefined]);
  });
});
