import { describe, expect, it } from 'vitest';
import { findRuntime } from '../src/harness/runtime.ts';

describe('findRuntime', () => {
  it('asks what is given for its version', () => {
    const found = findRuntime('node', process.execPath);
    expect(found).toEqual({ path: process.execPath, version: `node ${process.version}` });
  });

  it('does not find what is not there', () => {
    expect(findRuntime('no-such-runtime', undefined)).toBeUndefined();
    expect(() => findRuntime('bun', '/no/such/file')).toThrow('ENOENT');
  });
});
