import { describe, expect, it } from 'vitest';
import { nothingLeft, turn, whenOver } from '../peers/index.ts';
import { KINDS } from './kinds.ts';
import {
  type Joined,
  join,
  MODES,
  PROXY_ENDS,
  PROXY_MOMENTS,
  startProxy,
  TARGETS,
} from './proxies.ts';

describe.each(MODES)('a proxy in the mode %s, when one of its sockets ends', (mode) => {
  nothingLeft();

  describe.each(TARGETS)('with a target over %s', (target) => {
    it.each(KINDS)('catches every error over %s', async (_, preparePairs) => {
      const proxy = await startProxy(mode, target);
      const openPair = await preparePairs();
      whenOver(() => proxy.stop());
      for (const moment of Object.values(PROXY_MOMENTS)) {
        const ends = Object.values(PROXY_ENDS);
        const all: Joined[] = [];
        // One by one, so that each client has its own target.
        for (const _ of ends) all.push(await join(proxy, await openPair('server')));
        await Promise.all(
          ends.map(async (end, i) => {
            const joined = all[i]!;
            await moment(joined);
            end(joined);
            joined.far.resume();
            joined.target.resume();
          }),
        );
      }
      for (let i = 0; i < 20; i++) await turn();
      await proxy.stop();
      expect(proxy.open()).toBe(0);
    });
  });
});
