import type { Subject } from '../harness/batches.ts';

/** Work without a socket: the subjects of each contest, created when it is measured. */
export type Kernels = Record<string, () => Record<string, Subject>>;
