import { nodeDeflate, nodePlatform } from '@ws/node-io';
import { FakePlatform } from '../kit/index.ts';

/** Parameters of permessage-deflate that both ends agree on. */
export const DEFLATE = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
} as const;

/** A fake platform with zlib. The engines and their timer belong to the real platform. */
export function compressingPlatform(): FakePlatform {
  return Object.assign(new FakePlatform(), { deflate: nodeDeflate, base: nodePlatform });
}
