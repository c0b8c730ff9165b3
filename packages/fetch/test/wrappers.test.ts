import { describe, expect, it } from 'vitest';
import { bun } from '../src/bun.ts';
import { deno } from '../src/deno.ts';

describe.each([
  ['bun', bun],
  ['deno', deno],
])('%s', (name, wrap) => {
  it('names an unknown option', () => {
    const options = { idleTimeOut: 1 } as object;
    expect(() => wrap(() => new Response(), options)).toThrow(
      new RegExp(`^${name}: unknown option idleTimeOut; known options: `),
    );
  });
});
