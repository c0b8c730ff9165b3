import { rounds } from '@ws/tests';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PROGRAM, runProgram } from '../random-programs.ts';
import { traceOf } from '../trace.ts';

test('random programs without compression leave the same trace', async () => {
  await fc.assert(
    fc.asyncProperty(PROGRAM, async (program) => {
      const expected = await traceOf('ws', (scene) => runProgram(scene, program));
      const got = await traceOf('compat', (scene) => runProgram(scene, program));
      expect(got).toEqual(expected);
    }),
    { numRuns: Number(process.env['RUNS'] ?? rounds(40, 100)) },
  );
});
