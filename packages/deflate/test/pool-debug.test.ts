import { debugPools } from '@ws/codec';
import { extensionRuntime } from '@ws/conn/internal';
import { FakePlatform } from '@ws/tests';
import { expect, it } from 'vitest';
import { EnginePool } from '../src/engine-pool.ts';
import type { DeflateEngines } from '../src/engines.ts';

debugPools();

it('the debug mode of pools poisons the memory of a history', () => {
  const engines = new EnginePool({} as DeflateEngines, extensionRuntime(new FakePlatform()));
  const history = engines.acquire(512);
  history.fill(1);
  engines.release(history);
  expect(history.every((byte) => byte === 0xdb)).toBe(true);
  expect(() => engines.release(history)).toThrow('history released twice');
  expect(() => engines.release(new Uint8Array(512))).toThrow(
    'history is not leased from this pool',
  );
  expect(engines.historyBytes).toBe(0);
  history[0] = 1;
  expect(() => engines.acquire(512)).toThrow('history of 512 bytes was written to');
});
