import { describe, expect, it } from 'vitest';
import { Endpoint } from '../src/index.ts';
import { checked } from '../src/internal.ts';

describe('Endpoint.receive of a peer with the same role', () => {
  it.each([
    ['server', "bad MASK; a frame without a mask: does the peer have role 'server' too?"],
    ['client', "bad MASK; a frame with a mask: does the peer have role 'client' too?"],
  ] as const)('says so: %s', (role, message) => {
    const peer = new Endpoint({ role });
    peer.send('hello');
    const [event] = new Endpoint({ role }).receive(peer.output());
    expect(event).toMatchObject({
      kind: 'close',
      code: 1002,
      error: { message: `websocket: ${message}`, faults: ['bad MASK'] },
    });
  });

  it('gives no such advice for bytes of another protocol', () => {
    const [event] = new Endpoint({ role: 'server' }).receive(Buffer.from('HTTP/1.1 400'));
    expect(event).toMatchObject({ error: { message: expect.not.stringContaining('role') } });
  });
});

describe('the stack of an error about an argument', () => {
  const endpoint = new Endpoint({ role: 'client' });
  it.each<[string, () => unknown]>([
    ['new Endpoint', () => new Endpoint({ role: 'peer' } as never)],
    ['send', () => endpoint.send(5 as never)],
    ['ping', () => endpoint.ping(new Uint8Array(200))],
    ['pong', () => endpoint.pong({} as never)],
    ['close', () => endpoint.close(5000)],
  ])('of %s starts at the line of the caller', (_, call) => {
    let stack = '';
    try {
      call();
    } catch (error) {
      stack = (error as Error).stack!;
    }
    expect(stack.split(/\n +at /)[1]).toContain('mistakes.test.ts');
  });
});

describe('checked', () => {
  const trap = (): never => {
    throw new Error('trap');
  };
  it.each([
    ['a value', 5],
    ['a frozen error', Object.freeze(new TypeError('x'))],
    ['an error with traps', new Proxy(new TypeError('x'), { getPrototypeOf: trap })],
  ])('throws what the application has thrown: %s', (_, thrown) => {
    let caught: unknown;
    const call = (): void => {
      try {
        checked(() => {
          throw thrown;
        }, call);
      } catch (error) {
        caught = error;
      }
    };
    call();
    expect(Object.is(caught, thrown)).toBe(true);
  });
});
