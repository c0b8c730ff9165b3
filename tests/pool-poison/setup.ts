// Setup file of `pnpm long poison`: switches the pools to debug before any use.
import { debugPools } from '@ws/codec';

debugPools();
