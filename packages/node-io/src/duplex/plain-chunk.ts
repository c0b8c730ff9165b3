import { bytesOfView } from '@ws/codec/internal';

/**
 * A chunk of an application for a Writable, which makes a Buffer of other views by their properties. Those
 * may be wrong, and the Buffer would have other memory then: see `byte-facts.ts` of the codec.
 */
export function plainChunk(chunk: unknown): unknown {
  return ArrayBuffer.isView(chunk) && !(chunk instanceof Buffer) ? bytesOfView(chunk) : chunk;
}
