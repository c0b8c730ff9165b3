/** Charged for each chunk on top of its bytes, so that many small chunks are bounded too. */
const CHUNK_COST = 256;

/** Unparsed chunks, in their order. */
export class ChunkQueue {
  /** Bytes of the chunks, plus a fixed cost for each chunk. */
  cost = 0;
  readonly #chunks: Uint8Array[] = [];

  get empty(): boolean {
    return this.#chunks.length === 0;
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.cost += chunk.length + CHUNK_COST;
  }

  shift(): Uint8Array | undefined {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) this.cost -= chunk.length + CHUNK_COST;
    return chunk;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.cost = 0;
  }
}
