import { once } from 'node:events';
import type { Socket } from 'node:net';
import { rawClient, request } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { front } from './support.ts';

describe('EB4 proxy.close', () => {
  it('ends the socket of a refused client that keeps it', async () => {
    const between = await front('ws://127.0.0.1:9', { authenticate: () => false });
    const accepted = once(between.server, 'connection') as Promise<[Socket]>;
    const client = await rawClient(between.port);
    const [socket] = await accepted;
    client.stream.allowHalfOpen = true;
    await client.write(request());
    expect(await client.head()).toContain(' 401 ');
    await between.proxy.close({ timeout: 50 });
    expect(socket.destroyed).toBe(true);
  });
});
