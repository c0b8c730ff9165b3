import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { BadHandshakeError } from '../src/index.ts';

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
