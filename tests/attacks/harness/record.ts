import { TestRunner } from 'vitest';
import type { Bound } from './bounds.ts';

declare module 'vitest' {
  interface TaskMeta {
    /** The attacks that this test survived, in order. */
    attacks?: Bound[];
  }
}

/**
 * Notes an attack that the current test survived, for the reporter that writes
 * `tests/attacks/README.md`.
 */
export function record(bound: Bound): void {
  const { meta } = TestRunner.getCurrentTest()!;
  meta.attacks ??= [];
  meta.attacks.push(bound);
}
