import type { Target } from '../harness/target.ts';

// Targets for tests of the harness, in workers.

const target: Target = {
  name: '',
  description: '',
  covers: ['fuzz/test/test-targets.ts'],
  maxLength: 20,
  dictionary: [],
  separators: [],
  seeds: [],
  run() {},
};

/** Four bytes: each comparison runs only after all earlier bytes matched. */
function locked(input: Uint8Array): void {
  if (input[0] !== 0x6c) return;
  if (input[1] !== 0x6f) return;
  if (input[2] !== 0x63) return;
  if (input[3] === 0x6b) throw new Error('open');
}

export const targets: readonly Target[] = [
  {
    ...target,
    name: 'fails',
    run() {
      throw new Error('planted');
    },
  },
  { ...target, name: 'runs-no-edge', covers: ['nowhere/'] },
  { ...target, name: 'locked', run: locked },
  { ...target, name: 'locked-and-blind', covers: [], run: locked },
];
