import { describe, expect, it } from 'vitest';
import { optionHint } from '../src/options/option-hints.ts';
import { checkOptionNames, kind } from '../src/validate.ts';

describe('checkOptionNames', () => {
  it('accepts known names only', () => {
    expect(() => checkOptionNames('serve', { port: 0 }, ['port'], 'reject')).not.toThrow();
    expect(() => checkOptionNames('serve', { zap: 0 }, ['port', 'host'], 'ignore')).toThrow(
      new TypeError('serve: unknown option zap; known options: port, host'),
    );
  });

  it.each([
    ['a misspelling', { prot: 0 }, 'did you mean port?'],
    ['another case', { READLIMIT: 0 }, 'did you mean readLimit?'],
    ['a name with a hint', { maxPayload: 0 }, 'use readLimit'],
    ['a name of Object.prototype', { constructor: 0 }, 'known options: port, '],
    ['a very long name', { ['port'.repeat(100)]: 0 }, 'known options: port, '],
  ])('says what to write instead of %s', (_, options, cure) => {
    const names = ['port', 'readLimit', 'heartbeat'];
    expect(() => checkOptionNames('serve', options, names, 'reject', optionHint)).toThrow(
      new RegExp(`^serve: unknown option \\w+; ${cure.replace(/[?{}]/g, '\\$&')}`),
    );
  });

  it('ignores an unknown name whose value is undefined, or rejects it, as the caller chooses', () => {
    const options = { prot: undefined };
    expect(() => checkOptionNames('serve', options, ['port'], 'ignore')).not.toThrow();
    expect(() => checkOptionNames('serve', options, ['port'], 'reject')).toThrow(TypeError);
  });

  it.each([null, 'text', 1, undefined, ['chat']])('rejects %s', (options) => {
    expect(() => checkOptionNames('serve', options as unknown as object, [], 'ignore')).toThrow(
      `serve: expected an object of options, got ${kind(options)}`,
    );
  });
});

it('kind names the class of an object, also of a hostile one', () => {
  const hostile = {
    get [Symbol.toStringTag](): string {
      throw new Error('mine');
    },
  };
  expect([null, 1, [], {}, new Map(), hostile].map(kind)).toEqual([
    'null',
    'number',
    'Array',
    'Object',
    'Map',
    'object',
  ]);
});
