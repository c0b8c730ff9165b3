import { describe, expect, it } from 'vitest';
import { Endpoint } from '../src/index.ts';
import { checked, fromCaller, isMistake } from '../src/internal.ts';

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

describe('fromCaller', () => {
  it('leaves a stack without the public function as it is', () => {
    const error = new TypeError('x');
    const { stack } = error;
    fromCaller(error, () => {});
    expect(error.stack).toBe(stack);
  });

  it('survives values that are no errors, and errors that cannot change', () => {
    const hostile = new Proxy(new TypeError('x'), {
      getPrototypeOf() {
        throw new Error('trap');
      },
    });
    for (const value of [undefined, 5, 'x', Object.freeze(new TypeError('x')), hostile]) {
      expect(() => fromCaller(value, fromCaller)).not.toThrow();
      expect(() => isMistake(value)).not.toThrow();
    }
  });
});

describe('checked', () => {
  it('throws the error of the check, also one of the application', () => {
    const own = new Error('of the application');
    const { stack } = own;
    const call = (): unknown =>
      checked(() => {
        throw own;
      }, call);
    expect(call).toThrow(own);
    expect(own.stack).toBe(stack);
  });
});
