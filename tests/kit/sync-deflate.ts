import { nodeDeflate } from '@ws/node-io';

/** The engines of Node where the handles of zlib do not work. */
export const syncDeflate: typeof nodeDeflate = new (
  nodeDeflate.constructor as new () => typeof nodeDeflate
)();
syncDeflate.configure({ backend: 'sync' });
