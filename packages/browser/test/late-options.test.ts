// H1: a setting that is given after work has begun. Options are read once, in the constructor; only `alive` is set later.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ReconnectingConn, type ReconnectingConnOptions } from '../src/index.ts';
import { socketClass } from './fake-web-socket.ts';
import { pass } from './support.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('H1 options of ReconnectingConn after its constructor', () => {
  it('are read no more: all connections have the same ones', async () => {
    const { WebSocket, sockets } = socketClass();
    const late: string[] = [];
    let isConstructed = false;
    const options = new Proxy<ReconnectingConnOptions>(
      { WebSocket, minDelay: 1, maxDelay: 2, subprotocols: ['a'] },
      {
        get(target, name: keyof ReconnectingConnOptions) {
          if (isConstructed) late.push(name);
          return target[name];
        },
      },
    );
    const live = new ReconnectingConn('ws://h', options);
    isConstructed = true;
    live.receive(() => {}).catch(() => {});
    for (let i = 0; i < 3; i++) {
      await pass(5);
      sockets[i]!.open('a');
      await pass(5);
      sockets[i]!.end(1006);
    }
    expect(late).toEqual([]);
    const closing = live.close();
    await pass(10);
    await closing;
  });

  it('do not change with what the caller changes in them', async () => {
    const { WebSocket, sockets } = socketClass();
    const protocols = ['a'];
    const stopCodes = [4000];
    const url = new URL('ws://h/first');
    const ask = vi.fn(() => 'first');
    const alive = { ask, after: 1_000 };
    const live = new ReconnectingConn(url, {
      WebSocket,
      minDelay: 1,
      maxDelay: 2,
      subprotocols: protocols,
      stopCodes,
      alive,
    });
    live.receive(() => {}).catch(() => {});
    url.pathname = '/second';
    protocols[0] = 'b';
    stopCodes[0] = 4001;
    Object.assign(alive, { ask: () => 'second', after: 1 });
    for (let i = 0; i < 2; i++) {
      await pass(5);
      const socket = sockets[i]!;
      socket.open('a');
      expect(socket.url).toBe('ws://h/first');
      expect(socket.protocols).toEqual(['a']);
      await pass(1_000);
      expect(socket.sent).toEqual(['first']);
      socket.end(i === 0 ? 4001 : 4000);
    }
    await pass(5);
    expect(live.state).toBe('closed');
  });
});
