import { createProxy } from '@ws/proxy';
import { firstStackLine } from '@ws/tests';
import { describe, expect, it } from 'vitest';

/** Arguments as JavaScript, without types, may pass them. */
// oxlint-disable-next-line typescript/no-explicit-any -- each row breaks a type
type Any = any;

const URL_OF_TARGET = 'ws://127.0.0.1:1';

const mistakes: Readonly<Record<string, () => unknown>> = {
  'createProxy, target': () => createProxy(5 as Any),
  'createProxy, a bad URL': () => createProxy('http//a'),
  'createProxy, options': () => createProxy(URL_OF_TARGET, { mod: 'bytes' } as Any),
  'createProxy, mode': () => createProxy(URL_OF_TARGET, { mode: 'byte' } as Any),
  'proxy.close, timeout': () => createProxy(URL_OF_TARGET).close({ timeout: -1 }),
  'proxy.close, code': () => createProxy(URL_OF_TARGET).close({ code: 5 }),
};

describe('the error about an argument of', () => {
  it.each(Object.entries(mistakes))('%s has a stack that starts at the caller', async (_, make) => {
    expect(await firstStackLine(make)).toMatch(/\bmistakes\.test\.ts:\d+/);
  });
});
