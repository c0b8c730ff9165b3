import { describe, expect, it } from 'vitest';
import { checkOptionNames, kind } from '../src/validate.ts';

describe('checkOptionNames', () => {
  it('accepts known names only', () => {
    expect(() => checkOptionNames('serve', { port: 0 }, ['port'], 'reject')).not.toThrow();
    expect(() => checkOptionNames('serve', { prot: 0 }, ['port', 'host'], 'ignore')).toThrow(
      new TypeError('serve: unknown option prot; known options: port, host'),
    );
  });

  it('ignores an unknown name whose value is undefined, or rejects it, as the caller chooses', () => {
    const options = { prot: undefined };
    expect(() => checkOptionNames('serve', options, ['port'], 'ignore')).not.toThrow();
    expect(() => checkOptionNames('serve', options, ['port'], 'reject')).toThrow(TypeError);
  });

  it.each([null, 'text', 1, undefined])('rejects %s', (options) => {
    expect(() => checkOptionNames('serve', options as unknown as object, [], 'ignore')).toThrow(
      `serve: expected an object of options, got ${kind(options)}`,
    );
  });
});
