// What raw peers do at the end of a stream of HTTP/2, and what the other side sees.
import { hex, nothingLeft, rawClient } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { ProxyOptions } from '../../src/index.ts';
import { front, rawTarget } from '../support.ts';
import { framesOf, http2Front, openStream, rawHttp2Target } from './support.ts';

const CLIENT_TEXT = hex('81 82 00 00 00 00 68 69');
const CLIENT_CLOSE = hex('88 82 00 00 00 00 03 e8');
const SERVER_CLOSE = hex('88 02 03 e8');

describe('createProxy, a client over HTTP/2 and a target over HTTP/1.1', () => {
  nothingLeft();

  async function pair(options: ProxyOptions = {}) {
    const backend = await rawTarget();
    const between = await http2Front(backend.url, options);
    const client = await openStream(between.port);
    const [target, proxied] = await Promise.all([backend.next(), between.next()]);
    target.startFrames();
    return { client, target, proxied };
  }

  it('passes END_STREAM as a FIN and a FIN as END_STREAM, mode bytes', async () => {
    const { client, target, proxied } = await pair({ mode: 'bytes' });
    client.data(1, CLIENT_TEXT, true);
    await target.until(({ ended }) => ended);
    expect(await target.sees(1)).toEqual(['text hi']);
    await target.send(1, 'still there');
    await client.until(() => framesOf(client, 'client').length > 0);
    expect(framesOf(client, 'client')).toEqual(['text still there']);
    target.end();
    await client.until(() => client.story(1).at(-1)!.endsWith('END'));
    expect(await proxied.closed).toMatchObject({ endedBy: 'client', code: 1006 });
  });

  it.each([
    [0, 'NO_ERROR'],
    [2, 'INTERNAL_ERROR'],
    [8, 'CANCEL'],
  ])('passes RST_STREAM %d as a reset, mode bytes', async (code, name) => {
    const { client, target, proxied } = await pair({ mode: 'bytes' });
    client.reset(1, code);
    await target.closed;
    expect((target.error as NodeJS.ErrnoException).code).toBe('ECONNRESET');
    const { endedBy, error } = await proxied.closed;
    expect(endedBy).toBe('client');
    expect(String(error)).toContain(`the peer reset the stream: ${name}`);
  });

  it('passes the end of the TCP connection as a reset, mode bytes', async () => {
    const { client, target, proxied } = await pair({ mode: 'bytes' });
    client.socket.destroy();
    await target.closed;
    expect((target.error as NodeJS.ErrnoException).code).toBe('ECONNRESET');
    expect(await proxied.closed).toMatchObject({ endedBy: 'client' });
  });

  it('passes a reset as RST_STREAM CANCEL, without END_STREAM, mode bytes', async () => {
    const { client, target, proxied } = await pair({ mode: 'bytes' });
    target.reset();
    await client.until(() => client.story(1).length > 1);
    expect(client.story(1)).toEqual(['HEADERS', 'RST_STREAM 8']);
    expect(await proxied.closed).toMatchObject({ endedBy: 'target' });
  });

  it.each([0, 8])('sends 1001 to the target after RST_STREAM %d', async (code) => {
    const { client, target, proxied } = await pair();
    client.reset(1, code);
    expect(await target.sees(1)).toEqual(['close 1001']);
    await target.finish();
    expect(await proxied.closed).toMatchObject({ endedBy: 'client', code: 1001 });
  });

  it('resets the stream with NO_ERROR when the client keeps it open after the close', async () => {
    const { client, target, proxied } = await pair();
    client.data(1, CLIENT_CLOSE);
    expect(await target.sees(1)).toEqual(['close 1000']);
    await target.close(1000);
    target.end();
    await client.until(() => client.story(1).includes('RST_STREAM 0'));
    expect(framesOf(client, 'client')).toEqual(['close 1000']);
    expect(client.story(1).filter((frame) => /END|RST/.test(frame))).toEqual([
      expect.stringMatching(/^DATA \d END$/),
      'RST_STREAM 0',
    ]);
    await target.until(({ ended }) => ended);
    const info = await proxied.closed;
    expect(info).toMatchObject({ endedBy: 'client', code: 1000 });
    expect(info.error).toBeUndefined();
  });

  it('ends the stream when neither end does after the close', async () => {
    const { client, target } = await pair();
    await target.close(1000);
    await client.until(() => client.dataLength(1) > 0);
    client.data(1, CLIENT_CLOSE);
    await target.sees(1);
    await client.until(() => client.story(1).includes('RST_STREAM 0'));
    expect(client.story(1).some((frame) => frame.endsWith('END'))).toBe(true);
    await target.finish();
  });

  it('leaves the end to a client that ends its stream', async () => {
    const { client, target, proxied } = await pair();
    client.data(1, CLIENT_CLOSE);
    await target.sees(1);
    await target.close(1000);
    target.end();
    await client.until(() => client.story(1).at(-1)!.endsWith('END'));
    client.data(1, Buffer.alloc(0), true);
    await target.until(({ ended }) => ended);
    await proxied.closed;
    expect(client.story(1).some((frame) => frame.startsWith('RST'))).toBe(false);
  });
});

describe('createProxy, a client over HTTP/1.1 and a target over HTTP/2', () => {
  nothingLeft();

  async function pair(options: ProxyOptions = {}) {
    const backend = await rawHttp2Target();
    const between = await front(backend.url, { http2: 'only', ...options });
    const client = await rawClient(between.port);
    expect((await client.upgrade()).status).toBe(101);
    client.startFrames();
    return { client, target: await backend.asked, proxied: await between.next() };
  }

  it('passes a FIN as END_STREAM and END_STREAM as a FIN, mode bytes', async () => {
    const { client, target, proxied } = await pair({ mode: 'bytes' });
    client.end();
    await target.until(() => target.story(1).at(-1)!.endsWith('END'));
    target.data(1, hex('81 02 68 69'), true);
    expect(await client.sees(1)).toEqual(['text hi']);
    await client.until(({ ended }) => ended);
    expect(await proxied.closed).toMatchObject({ endedBy: 'client' });
  });

  it('passes a reset as RST_STREAM CANCEL, mode bytes', async () => {
    const { client, target } = await pair({ mode: 'bytes' });
    client.reset();
    await target.until(() => target.story(1).length > 1);
    expect(target.story(1)).toEqual(['HEADERS', 'RST_STREAM 8']);
  });

  it.each([0, 2, 8])('passes RST_STREAM %d as a reset, mode bytes', async (code) => {
    const { client, target, proxied } = await pair({ mode: 'bytes' });
    target.reset(1, code);
    await client.closed;
    expect((client.error as NodeJS.ErrnoException).code).toBe('ECONNRESET');
    expect(await proxied.closed).toMatchObject({ endedBy: 'target' });
  });

  // An END_STREAM before that of the target ends the whole session of hypercorn.
  it.each(['waits', 'ends its socket'])(
    'resets a target that keeps its stream open after the close, and the client %s',
    async (what) => {
      const { client, target, proxied } = await pair();
      await client.close(1000);
      if (what !== 'waits') client.end();
      await target.until(() => target.dataLength(1) > 0);
      expect(framesOf(target, 'server')).toEqual(['close 1000']);
      target.data(1, SERVER_CLOSE);
      expect(await client.sees(1)).toEqual(['close 1000']);
      await target.until(() => target.story(1).includes('RST_STREAM 8'));
      expect(target.story(1)).toEqual(['HEADERS', 'DATA 8', 'RST_STREAM 8']);
      await client.finish();
      const info = await proxied.closed;
      expect(info).toMatchObject({ endedBy: 'client', code: 1000 });
      expect(info.error).toBeUndefined();
    },
  );

  it('ends the stream of a target that has ended it', async () => {
    const { client, target, proxied } = await pair();
    await client.close(1000);
    await target.until(() => target.dataLength(1) > 0);
    target.data(1, SERVER_CLOSE, true);
    await client.sees(1);
    await client.finish();
    await target.until(() => target.story(1).at(-1) === 'DATA 0 END');
    await proxied.closed;
    expect(target.story(1)).toEqual(['HEADERS', 'DATA 8', 'DATA 0 END']);
  });

  it('sends 1001 and no END_STREAM when the client dies', async () => {
    const { client, target, proxied } = await pair();
    client.reset();
    await target.until(() => target.dataLength(1) > 0);
    expect(framesOf(target, 'server')).toEqual(['close 1001']);
    target.data(1, SERVER_CLOSE);
    await target.until(() => target.story(1).length > 2);
    expect(target.story(1)).toEqual(['HEADERS', 'DATA 8', 'RST_STREAM 8']);
    expect(await proxied.closed).toMatchObject({ endedBy: 'client', code: 1001 });
  });

  it('sends 1014 when the session of the target ends', async () => {
    const { client, target, proxied } = await pair();
    target.socket.destroy();
    expect(await client.sees(1)).toEqual(['close 1014']);
    await client.finish();
    expect(await proxied.closed).toMatchObject({ endedBy: 'target', code: 1014 });
  });
});
