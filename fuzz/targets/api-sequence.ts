import { type MakeConn, runCommands } from '@ws/tests/pairs';
import { Input } from '../harness/input.ts';
import type { Target } from '../harness/target.ts';
import { commandsOf, setupOf } from './commands.ts';

/** Compares two Conns with a model, under any calls, faults and segmentations. */
export function apiSequence(make?: MakeConn): Target {
  return {
    name: 'api-sequence',
    description: 'two Conns deliver each message once and in order, or reject it, under any calls',
    covers: ['packages/conn/src/'],
    maxLength: 100,
    dictionary: [],
    separators: [],
    seeds: [
      [],
      [0, 5, 1, 100, 20, 3, 21, 2, 16, 0, 17, 0],
      [4, 0, 6, 20, 6, 210, 8, 0, 20, 9, 17, 0, 12, 0],
      [2, 220, 3, 230, 14, 0, 15, 0, 22, 50, 240, 0],
      [4, 0, 0, 9, 4, 0, 6, 255, 10, 0, 20, 3],
    ].map((program) => Uint8Array.from([...Array.from({ length: 14 }, () => 0), ...program])),
    async run(input) {
      const read = new Input(input);
      const setup = setupOf(read);
      await runCommands(setup, commandsOf(read), make);
    },
  };
}
