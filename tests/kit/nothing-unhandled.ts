import { afterEach, beforeEach, expect } from 'vitest';
import { turn } from './fake-platform.ts';

/**
 * Fails every test of the current file or `describe` that causes an uncaught error or an unhandled
 * rejection.
 */
export function nothingUnhandled(): void {
  const unhandled: unknown[] = [];
  const trap = (error: unknown): void => void unhandled.push(error);
  beforeEach(() => {
    process.on('uncaughtException', trap).on('unhandledRejection', trap);
  });
  afterEach(async () => {
    for (let turns = 0; turns < 3; turns++) await turn();
    process.off('uncaughtException', trap).off('unhandledRejection', trap);
    expect(unhandled.splice(0)).toEqual([]);
  });
}
