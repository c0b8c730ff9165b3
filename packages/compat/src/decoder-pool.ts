import { type Extension, MessageDecoder, type Role } from '@ws/codec';
import { Pool } from '@ws/codec/internal';

/** The bit of permessage-deflate in the first byte of a frame (RFC 7692, section 6). */
export const RSV1 = 0x40;
/** Most decoders of a role that are kept for connections that have input. */
const MAX_FREE = 64;

/** Free decoders. An idle connection holds none. */
const free = {
  server: new Pool<MessageDecoder>(MAX_FREE),
  client: new Pool<MessageDecoder>(MAX_FREE),
};

/** What ws does not count. */
const counters = { framesIn: 0, messagesIn: 0, pingsIn: 0 };

/** @param limit - Longest message in bytes. */
export function acquireDecoder(
  role: Role,
  limit: number,
  extension: Extension | undefined,
): MessageDecoder {
  const decoder = free[role].acquire() ?? create(role);
  decoder.attach(counters, limit, extension);
  return decoder;
}

function create(role: Role): MessageDecoder {
  const decoder = new MessageDecoder({
    role,
    maxEmptyFragments: Infinity,
    // As ws, which bounds the frames of a compressed message too, and checks a text at its end.
    limitsWire: true,
    ownsChunks: true,
    checksText: false,
  });
  // Every frame of a message is counted.
  decoder.stopAt = 0;
  return decoder;
}

/** The decoder is idle, or destroyed. */
export function releaseDecoder(decoder: MessageDecoder, role: Role): void {
  decoder.detach();
  free[role].release(decoder);
}
