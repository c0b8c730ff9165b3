import { firstStackLine } from '@ws/tests';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { dial, fromWebSocket, ReconnectingConn, reconnecting } from '../src/index.ts';
import { openSocket } from './fake-web-socket.ts';

afterEach(() => void vi.unstubAllGlobals());

/** Arguments as JavaScript, without types, may pass them. */
// oxlint-disable-next-line typescript/no-explicit-any -- each row breaks a type
type Any = any;

const mistakes: Readonly<Record<string, () => unknown>> = {
  'dial, url': () => dial(5 as Any),
  'dial, a bad URL': () => dial('http://a:b:c'),
  'dial, options': () => dial('/feed', { WebSocke: 5 } as Any),
  'dial, subprotocols': () => dial('/feed', ['chat'] as Any),
  'dial, handshakeTimeout': () => dial('ws://a/', { handshakeTimeout: -1 }),
  'fromWebSocket, socket': () => fromWebSocket(5 as Any),
  'fromWebSocket, options': () => fromWebSocket(openSocket(), { readLimit: -1 }),
  'reconnecting, options': () => reconnecting('ws://a/', { minDlay: 5 } as Any),
  'new ReconnectingConn, options': () => new ReconnectingConn('ws://a/', { minDlay: 5 } as Any),
};

describe('the error about an argument of', () => {
  it.each(Object.entries(mistakes))('%s has a stack that starts at the caller', async (_, make) => {
    vi.stubGlobal('location', { href: 'https://a.example/' });
    expect(await firstStackLine(make)).toMatch(/\bmistakes\.test\.ts:\d+/);
  });

  it('a list of subprotocols says what to write', async () => {
    await expect(dial('ws://a/', ['chat'] as Any)).rejects.toThrow(
      'dial: write { subprotocols: [...] } for subprotocols',
    );
  });
});

describe('the property', () => {
  it('onmessage of a connection throws', async () => {
    const conn: Any = fromWebSocket(openSocket());
    expect(() => {
      conn.onmessage = () => {};
    }).toThrow('a Conn emits no events; read with receive(handler) or for await');
    conn.terminate();
  });
});
