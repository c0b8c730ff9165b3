import { anyCommands, anySetup, runCommands } from '@ws/tests/pairs';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { checkAsync, longTimeout } from './check.ts';

describe('two Conns under random commands', () => {
  it('agree with the model, without a leak', longTimeout, async () => {
    await checkAsync(fc.tuple(anySetup, anyCommands), 50, ([setup, commands]) =>
      runCommands(setup, commands),
    );
  });
});
