import type { Target } from '../harness/target.ts';

// Targets that a corpus cannot be selected for.

const target: Target = {
  name: '',
  description: '',
  covers: ['fuzz/test/faulty-targets.ts'],
  maxLength: 20,
  dictionary: [],
  separators: [],
  seeds: [],
  run() {},
};

export const targets: readonly Target[] = [
  {
    ...target,
    name: 'fails',
    run() {
      throw new Error('planted');
    },
  },
  { ...target, name: 'runs-no-edge', covers: ['nowhere/'] },
];
