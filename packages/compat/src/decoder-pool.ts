import { FrameDecoder, type Role } from '@ws/codec';
import { Pool } from '@ws/codec/internal';

/** The bit of permessage-deflate in the first byte of a frame (RFC 7692, section 6). */
export const RSV1 = 0x40;
/** Most decoders of a kind that are kept for connections that have input. */
const MAX_FREE = 64;

/** Free decoders by role and by whether RSV1 is negotiated. An idle connection holds none. */
const free = {
  server: { plain: new Pool<FrameDecoder>(MAX_FREE), deflating: new Pool<FrameDecoder>(MAX_FREE) },
  client: { plain: new Pool<FrameDecoder>(MAX_FREE), deflating: new Pool<FrameDecoder>(MAX_FREE) },
};

export function acquireDecoder(role: Role, deflates: boolean): FrameDecoder {
  const decoder = poolOf(role, deflates).acquire();
  return decoder ?? new FrameDecoder({ role, allowedRsv: deflates ? RSV1 : 0 });
}

export function releaseDecoder(decoder: FrameDecoder, role: Role, deflates: boolean): void {
  decoder.reset();
  poolOf(role, deflates).release(decoder);
}

function poolOf(role: Role, deflates: boolean): Pool<FrameDecoder> {
  return deflates ? free[role].deflating : free[role].plain;
}
