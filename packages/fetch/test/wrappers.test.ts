import { describe, expect, it } from 'vitest';
import { bun } from '../src/bun.ts';
import { deno } from '../src/deno.ts';

describe.each([
  ['bun', bun],
  ['deno', deno],
])('%s', (name, wrap) => {
  it('names an unknown option', () => {
    const options = { idle: 1 } as object;
    expect(() => wrap(() => new Response(), options)).toThrow(
      new RegExp(`^${name}: unknown option idle; known options: `),
    );
  });
});
