import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { nothingLeft, rawClient, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { front, openPair, rawTarget } from './support.ts';

/** Starts a target of its own process that has sent half of a frame. */
async function halfFrameTarget(): Promise<{ child: ChildProcess; url: string }> {
  const child = fork(fileURLToPath(new URL('half-frame-target.mjs', import.meta.url)));
  whenOver(() => child.kill('SIGKILL'));
  const [port] = (await once(child, 'message')) as [number];
  return { child, url: `ws://127.0.0.1:${port}` };
}

describe('createProxy', () => {
  nothingLeft();

  it('tells the client 1014 when the target process is killed inside a frame', async () => {
    const { child, url } = await halfFrameTarget();
    const between = await front(url);
    const client = await rawClient(between.port);
    await client.upgrade();
    client.startFrames();
    expect(await client.sees(1)).toEqual(['text whole']);
    const proxied = await between.next();
    await client.send(1, 'go on');
    await once(child, 'message');
    child.kill('SIGKILL');
    expect(await client.sees(2)).toEqual(['text whole', 'close 1014']);
    await client.finish();
    expect(await proxied.closed).toMatchObject({ endedBy: 'target', code: 1014 });
  });

  it('waits for a client that reads what a dead target has sent', async () => {
    const SIZE = 32 * 1024;
    const backend = await rawTarget();
    const between = await front(backend.url, { highWaterMark: 64 * 2 ** 20 });
    const { client, target, proxied } = await openPair(between, backend);
    client.stream.pause();
    const frame = target.encode(2, Buffer.alloc(SIZE));
    for (let i = 0; i < 1024; i++) await target.write(frame);
    while (proxied.stats.out.messages < 1024) await new Promise((next) => void setTimeout(next, 5));
    target.reset();
    let seen = 0;
    client.stream.on('data', ({ length }: Buffer) => (seen += length));
    // 2 MiB every half second: all of it takes longer than a peer has to end its socket.
    for (let stop = 2 * 2 ** 20; seen < 1024 * frame.length; stop += 2 * 2 ** 20) {
      client.stream.resume();
      while (seen < Math.min(stop, 1024 * frame.length)) await once(client.stream, 'data');
      client.stream.pause();
      await new Promise((next) => void setTimeout(next, 500));
    }
    client.stream.resume();
    expect((await client.sees(1025)).at(-1)).toBe('close 1014');
    await client.finish();
    expect(await proxied.closed).toMatchObject({ endedBy: 'target', code: 1014 });
  });

  it('closes 100 pairs with 1001, and cuts the one that stalls inside a frame', async () => {
    const backend = await rawTarget();
    const between = await front(backend.url);
    const pairs: Awaited<ReturnType<typeof openPair>>[] = [];
    for (let i = 0; i < 100; i++) pairs.push(await openPair(between, backend));
    const stalled = pairs[0]!;
    const frame = stalled.client.encode(2, Buffer.alloc(100_000));
    await stalled.client.write(frame.subarray(0, 90_000));
    await stalled.target.until(() => stalled.proxied.stats.in.bytes === 90_000);
    const others = pairs.slice(1).map(async ({ client, target }) => {
      expect(await client.sees(1)).toEqual(['close 1001']);
      expect(await target.sees(1)).toEqual(['close 1001']);
      await Promise.all([client.close(1001), target.close(1001)]);
      await Promise.all([client.finish(), target.finish()]);
    });
    const closing = between.proxy.close({ timeout: 2_000 });
    await Promise.all(others);
    await closing;
    await stalled.target.untilEnd();
    expect(stalled.target.frames).toEqual([]);
    expect(between.proxy.proxied.size).toBe(0);
    const late = await rawClient(between.port);
    expect((await late.upgrade()).status).toBe(503);
  });
});
