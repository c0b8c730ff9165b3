/** Bound of the live messages for which `form` has failed while a session resumes. */
const MAX_SKIPPED = 256;

/** Offsets of live messages for which `form` failed, each with the offset before it. */
export class SkippedOffsets {
  readonly #before = new Map<number, number>();

  /** @param before - The offset of the message before. */
  add(offset: number, before: number): void {
    if (this.#before.size < MAX_SKIPPED) this.#before.set(offset, before);
  }

  has(offset: number): boolean {
    return this.#before.has(offset);
  }

  /** Whether all messages after `from`, up to `offset`, are skipped. */
  leads(from: number, offset: number): boolean {
    let at: number | undefined = offset;
    while (at !== undefined && at > from) at = this.#before.get(at);
    return at !== undefined;
  }
}
