/** The error for a chunk that was transferred to another thread before all its frames were read. */
export function detachedChunk(): TypeError {
  return new TypeError(
    'the buffer of a received chunk was detached; transfer a copy of a message: data.slice()',
  );
}
