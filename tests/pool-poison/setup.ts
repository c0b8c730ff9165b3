// Setup file of `pnpm long poison`: switches the pools to debug before any use. After each file it
// leases all free message memory once: a lease throws if the memory was written to after its release.
import { debugPools, sharedMessageBuffers } from '@ws/codec';
import { afterAll } from 'vitest';

debugPools();

afterAll(() => {
  const buffers = sharedMessageBuffers();
  const leased: Uint8Array[] = [];
  for (let size = 4096; size <= 4_194_304; size *= 2) {
    for (let bytes; (bytes = buffers.takeFree(size)) !== undefined; ) leased.push(bytes);
  }
  for (const bytes of leased) buffers.give(bytes);
});
