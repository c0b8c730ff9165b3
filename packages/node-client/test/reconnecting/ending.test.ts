import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { type Conn, reconnecting } from '../../src/index.ts';
import { timers } from '../leftovers.ts';
import {
  accepts,
  acceptsAndDrops,
  answers,
  closes,
  codes,
  connected,
  fast,
  iterate,
  refuses,
  silent,
  turn,
} from './iterating.ts';

describe('stopCodes', () => {
  it.each([
    ['1008 by default', 1008, {}],
    ['a private code', 4004, { stopCodes: [4004] }],
    ['1000', 1000, { stopCodes: [1000, 1008] }],
    ['1006, an end without a close frame', 1006, { stopCodes: [1006] }],
  ] as const)('end the iteration without an error: %s', async (_, code, options) => {
    const server = await answers(code === 1006 ? acceptsAndDrops : closes(code), accepts);
    expect(await codes(server.url, options, 5)).toEqual([code]);
    expect(server.sockets).toHaveLength(1);
  });

  it('end it when we close with one of them ourselves', async () => {
    const server = await answers((socket, request) => {
      accepts(socket, request);
      socket.once('data', () => socket.end(Buffer.from([0x88, 2, 0x03, 0xe8])));
    });
    let connections = 0;
    for await (const conn of reconnecting(server.url, { ...fast, stopCodes: [1000] })) {
      connections++;
      await conn.close();
    }
    expect(connections).toBe(1);
  });

  it('do not stop an iteration whose connection closed otherwise', async () => {
    const server = await answers(closes(4000), closes(1000), closes(4001));
    expect(await codes(server.url, { stopCodes: [4001] }, 5)).toEqual([4000, 1000, 4001]);
  });

  it('replace the default, so that 1008 is dialed again', async () => {
    const server = await answers(closes(1008), closes(1000));
    expect(await codes(server.url, { stopCodes: [1000] }, 5)).toEqual([1008, 1000]);
  });
});

describe('leaving an iteration', () => {
  it('by break leaves the connection open, also when the signal aborts later', async () => {
    const server = await answers(accepts);
    const controller = new AbortController();
    let kept: Conn | undefined;
    const iterator = iterate(server.url, { signal: controller.signal });
    for await (const conn of { [Symbol.asyncIterator]: () => iterator }) {
      kept = conn;
      break;
    }
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    controller.abort();
    await turn();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(kept!.state).toBe('open');
    kept!.terminate();
    await server.gone();
  });

  it('by an error in its body leaves the connection open and gives the error', async () => {
    const server = await answers(accepts);
    const error = new Error('mine');
    const conns: Conn[] = [];
    const loop = (async () => {
      for await (const conn of reconnecting(server.url, fast)) {
        conns.push(conn);
        throw error;
      }
    })();
    await expect(loop).rejects.toBe(error);
    expect(conns[0]!.state).toBe('open');
    conns[0]!.terminate();
  });

  it('by return ends a dial', async () => {
    let asked = silent;
    const server = await answers(() => asked());
    const iterator = iterate(server.url);
    asked = () => void iterator.return?.();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    await server.gone();
  });

  it('by return ends a wait', async () => {
    const before = timers();
    const server = await answers(refuses(503));
    const iterator = iterate(server.url, {
      minDelay: 60_000,
      maxDelay: 60_000,
      retry: () => void setImmediate(() => void iterator.return?.()),
    });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(timers()).toBeLessThanOrEqual(before);
  });

  it('by return ends the wait for a connection’s end, which stays open', async () => {
    const server = await answers(accepts);
    const iterator = iterate(server.url);
    const conn = await connected(iterator);
    const next = iterator.next();
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
    expect(await next).toEqual({ done: true, value: undefined });
    expect(conn.state).toBe('open');
  });

  it('closes a connection that opens after the end', async () => {
    let closed = 0;
    const server = await answers((socket, request) => {
      socket.write(request.ok('Set-Cookie: a=b\r\n'));
      socket.once('data', () => {
        closed++;
        socket.end(Buffer.from([0x88, 2, 0x03, 0xe8]));
      });
    });
    let given = 0;
    for (let microtasks = 0; microtasks < 20; microtasks++) {
      const leave = async (): Promise<void> => {
        for (let i = 0; i < microtasks; i++) await Promise.resolve();
        await iterator.return?.();
      };
      // The last stage of a dial: some microtasks later it has ended.
      const jar = { getCookieString: () => '', setCookie: () => void leave() };
      const iterator = iterate(server.url, { jar });
      const { done, value } = await iterator.next();
      if (done) continue;
      given++;
      value.terminate();
    }
    await server.gone();
    expect(closed).toBeGreaterThan(0);
    expect(given).toBeGreaterThan(0);
  });
});
