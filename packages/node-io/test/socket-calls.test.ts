import { Duplex, PassThrough } from 'node:stream';
import { nothingLeft } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { addressOf, callIfAllowed } from '../src/internal.ts';
import { tcpPair } from './sockets.ts';

function refuse(): never {
  throw new Error('no socket');
}

/** As the socket of an HTTP/2 session. */
class RudeDuplex extends Duplex {
  setNoDelay = refuse;

  get remoteAddress(): never {
    return refuse();
  }
}

describe('callIfAllowed', () => {
  it('calls a method that the stream has', () => {
    const calls: unknown[] = [];
    const stream = Object.assign(new PassThrough(), {
      setTimeout: (ms: number) => calls.push(ms),
    });
    callIfAllowed(stream, 'setTimeout', 20);
    expect(calls).toEqual([20]);
  });

  it('ignores a method that is missing or throws', () => {
    expect(() => callIfAllowed(new PassThrough(), 'setNoDelay', true)).not.toThrow();
    expect(() => callIfAllowed(new RudeDuplex(), 'setNoDelay', true)).not.toThrow();
  });
});

describe('addressOf', () => {
  nothingLeft();

  it('returns the address of the peer', async () => {
    const { ours, dispose } = await tcpPair();
    expect(addressOf(ours, 'remoteAddress')).toBe('127.0.0.1');
    await dispose();
  });

  it('returns undefined for a stream without an address, and where the getter throws', () => {
    expect(addressOf(new PassThrough(), 'remoteAddress')).toBeUndefined();
    expect(addressOf(new RudeDuplex(), 'remoteAddress')).toBeUndefined();
  });
});
