// Vitest's setup file for `pnpm test:canaries`: before anything takes memory, the pools of the thread are made to debug.
import { debugPools } from '@ws/codec';

debugPools();
