import { expect, it, onTestFinished, vi } from 'vitest';
import { library } from '../build/tsup.ts';

it('a build does not start beside tests of what is built', () => {
  vi.stubEnv('WS_BUILT', '1');
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(() => library()).toThrow('a build beside tests');
});
