import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { BadHandshakeError, type DialerOptions, dial, TransportError } from '../src/index.ts';

describe('BadHandshakeError', () => {
  const response = {
    status: 403,
    headers: { 'content-type': 'text/plain' },
    body: Buffer.from('no '.repeat(300)),
  };

  it('does not print the bytes of its body', () => {
    const error = new BadHandshakeError('the server answered 403 Forbidden, not 101', response);
    error.stack = error.message;
    const printed = inspect(error);
    expect(printed).not.toMatch(/Buffer|\b6e 6f\b|\b110\b/);
    expect(printed).toContain('status: 403');
    expect(printed.split('\n').length).toBeLessThan(10);
  });

  it('has the body', () => {
    expect(new BadHandshakeError('refused', response).body).toBe(response.body);
    expect(new BadHandshakeError('refused').body).toHaveLength(0);
  });
});

describe('an error of the caller that is of our classes', () => {
  const error = (): TransportError =>
    Object.freeze(Object.assign(new TransportError('mine'), { stack: 'the stack of the caller' }));

  it.each<[string, (fault: unknown) => DialerOptions]>([
    ['proxy', (fault) => ({ proxy: () => Promise.reject(fault) })],
    ['jar', (fault) => ({ jar: { getCookieString: () => Promise.reject(fault), setCookie() {} } })],
  ])('keeps its stack, from the option %s', async (_, optionsOf) => {
    const mine = error();
    await expect(dial('ws://h.example/', optionsOf(mine))).rejects.toBe(mine);
    expect(mine.stack).toBe('the stack of the caller');
  });

  it('keeps its stack, as the reason of the signal', async () => {
    const mine = error();
    const signal = AbortSignal.abort(mine);
    await expect(dial('ws://h.example/', { signal })).rejects.toBe(mine);
    expect(mine.stack).toBe('the stack of the caller');
  });
});
