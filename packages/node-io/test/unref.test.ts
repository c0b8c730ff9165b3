import { describe, expect, it } from 'vitest';
import { unref } from '../src/node-platform.ts';

describe('unref', () => {
  it('lets the process end before a timer of Node', () => {
    const timer = setTimeout(() => {}, 1_000_000);
    unref(timer);
    expect(timer.hasRef()).toBe(false);
    clearTimeout(timer);
  });

  it('accepts the number that a timer is in a renderer of Electron', () => {
    expect(() => unref(5 as unknown as NodeJS.Timeout)).not.toThrow();
    expect(() => unref(undefined)).not.toThrow();
  });
});
