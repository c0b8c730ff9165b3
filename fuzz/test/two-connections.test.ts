// About a second of random programs, the same each time.
import { Random, rounds } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { twoConnections } from '../targets/two-connections.ts';

const PROGRAMS = rounds(15, 40);

describe('two connections of one process', () => {
  it('keep their messages apart in random programs', async () => {
    const target = twoConnections();
    const random = new Random(1);
    for (let i = 0; i < PROGRAMS; i++) {
      const program = Uint8Array.from({ length: target.maxLength }, () => random.word() & 0xff);
      await expect(target.run(program), Buffer.from(program).toString('hex')).resolves.toBe(
        undefined,
      );
    }
  });
});
