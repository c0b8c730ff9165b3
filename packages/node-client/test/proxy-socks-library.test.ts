import { createRequire } from 'node:module';
import { Duplex, duplexPair } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Bounds } from '../src/bounds.ts';
import { Guard } from '../src/guard.ts';
import { Dialer } from '../src/index.ts';
import { parseProxy } from '../src/proxy.ts';
import { socksTunnel } from '../src/socks.ts';
import { parseTarget } from '../src/url.ts';
import { timers } from './leftovers.ts';
import { grants, socksServer, tunnelProxy } from './proxies.ts';
import { rawServer, says } from './servers.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const greets = says((request) => `${request.ok()}\x81\x02hi`);
const GRANTED = '05 00 00 01 00000000 0000';
const BROKE = 'websocket: the connection broke before the proxy h:1080 answered';
const proxy = parseProxy(new URL('socks5://me:hush@h'), 'proxy');
const bytes = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** Answers message by message. */
function answers(stream: Duplex, ...texts: string[]): void {
  stream.on('data', () => {
    const text = texts.shift();
    if (text !== undefined) stream.write(bytes(text));
  });
}

async function tunnel(stream: Duplex, bounds = new Bounds(5000, undefined)): Promise<void> {
  try {
    await socksTunnel(new Guard(stream), proxy, parseTarget('ws://example.org/').address, bounds);
  } finally {
    bounds.end();
  }
}

describe('the SOCKS library', () => {
  it('is loaded when it is first needed', async () => {
    const server = await rawServer(greets);
    const { cache } = createRequire(import.meta.url);
    const loaded = (): boolean => Object.keys(cache).some((file) => /[\\/]socks[\\/]/.test(file));
    const http = await tunnelProxy(server.port);
    for (const way of [false, http.proxy] as const) {
      const { conn } = await new Dialer({ proxy: way }).dial(server.url);
      conn.terminate();
    }
    expect(loaded()).toBe(false);
    const via = await socksServer(['05 00', grants(server.port)]);
    const { conn } = await new Dialer({ proxy: via.proxy }).dial('ws://example.org/');
    conn.terminate();
    expect(loaded()).toBe(true);
  });

  it.each(['05 00', '05 02'])('leaves the stream as it was, but open (%s)', async (way) => {
    const [ours, theirs] = duplexPair();
    const before = ours.eventNames();
    let connects = 0;
    ours.on('connect', () => connects++);
    answers(theirs, way, ...(way === '05 02' ? ['01 00'] : []), `${GRANTED} 6561726c79`);
    const line = new Guard(ours);
    const bounds = new Bounds(5000, undefined);
    await socksTunnel(line, proxy, parseTarget('ws://example.org/').address, bounds);
    bounds.end();
    line.release();
    expect(connects).toBe(0);
    ours.removeAllListeners('connect');
    expect(ours.eventNames()).toEqual(before);
    // Nothing flows off in a later turn, when nobody listens.
    for (let i = 0; i < 5; i++) await nextTurn();
    expect(ours.read()).toEqual(Buffer.from('early'));
    expect(ours.destroyed).toBe(false);
  });

  it('takes a stream that is no Duplex of node’s', async () => {
    const said: Buffer[] = [];
    const replies = ['05 00', GRANTED];
    const ours = new Duplex({
      read() {},
      write(chunk: Buffer, _, done) {
        said.push(chunk);
        this.push(bytes(replies.shift()!));
        done();
      },
    });
    await tunnel(new Proxy(ours, { getPrototypeOf: () => null }));
    expect(said).toEqual([bytes('05020002'), bytes('05010003 0b6578616d706c652e6f7267 0050')]);
  });

  it.each([0, 1, 2])('does not hear what the stream throws (after %i answers)', async (good) => {
    const cause = new Error('no more');
    const replies = ['05 02', '01 00'];
    let said = 0;
    const ours = new Duplex({ read() {} });
    vi.spyOn(ours, 'write').mockImplementation(() => {
      if (said++ === good) throw cause;
      return ours.push(bytes(replies.shift()!));
    });
    await expect(tunnel(ours)).rejects.toMatchObject({ message: BROKE, cause });
  });

  it.each([true, false])(
    'fails when the stream breaks while it is loaded (with a close event: %s)',
    async (emitClose) => {
      const ours = new Duplex({ read() {}, emitClose });
      const failing = tunnel(ours);
      const cause = new Error('pulled');
      ours.destroy(cause);
      await expect(failing).rejects.toMatchObject({ message: BROKE, cause });
    },
  );

  it('fails when the stream ends, though it stays open for writing', async () => {
    const [ours, theirs] = duplexPair();
    theirs.once('data', () => theirs.end());
    await expect(tunnel(ours)).rejects.toMatchObject({ message: BROKE });
    expect(ours.destroyed).toBe(false);
  });

  it('is not asked to use a stream that is over', async () => {
    const [ours] = duplexPair();
    ours.end();
    await expect(tunnel(ours)).rejects.toMatchObject({
      message: 'websocket: the stream is not open',
    });
  });

  it.each<[string, timeout: number | false, delays: number[]]>([
    ['as long as ours', 23_456, [23_456, 23_456]],
    ['no shorter than any, where ours is off', false, [2 ** 31 - 1]],
  ])('leaves a timer that keeps no process alive, %s', async (_, handshakeTimeout, delays) => {
    const server = await rawServer(greets);
    const via = await socksServer(['05 00', grants(server.port)]);
    const before = timers();
    const set = vi.spyOn(globalThis, 'setTimeout');
    onTestFinished(() => void set.mockRestore());
    const dialer = new Dialer({ proxy: via.proxy, handshakeTimeout });
    const { conn } = await dialer.dial('ws://example.org/');
    conn.terminate();
    expect(timers()).toBeLessThanOrEqual(before);
    const asked = set.mock.calls.map(([, delay]) => delay);
    expect(asked.filter((delay) => delay === delays[0])).toEqual(delays);
  });

  it.each<[string, string]>([
    ['granted', GRANTED],
    ['refused', '05 05 00 01 00000000 0000'],
  ])('holds no stream by that timer (%s)', async (_, reply) => {
    const streams: WeakRef<Duplex>[] = [];
    await (async () => {
      const [ours, theirs] = duplexPair();
      answers(theirs, '05 00', reply);
      await tunnel(ours).catch(() => {});
      streams.push(new WeakRef(ours));
      ours.destroy();
      theirs.destroy();
    })();
    for (let i = 0; i < 10; i++) {
      await nextTurn();
      collect();
    }
    expect(streams.map((stream) => stream.deref())).toEqual([undefined]);
  });
});
