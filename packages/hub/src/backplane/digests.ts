import type { BackplaneLink } from './backplane-link.ts';
import type { Publications, Sent } from './publications.ts';
import { withTimeout } from './with-timeout.ts';

/** Interval of digests, and longest wait for the engine's answer to a digest, in ms. */
const DIGEST_MS = 5_000;
/** Bound of the digests that wait for the engine at a time. More would delay messages. */
const BATCH = 100;

/**
 * Sends digests in rooms with history: each repeats the counter of the last message on a channel, so
 * that other nodes notice if that message was lost.
 */
export class Digests {
  readonly #link: BackplaneLink;
  readonly #publications: Publications;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(link: BackplaneLink, publications: Publications) {
    this.#link = link;
    this.#publications = publications;
  }

  /** Called when a message is published in a room with history. */
  schedule(): void {
    if (this.#stopped) return;
    this.#cancel ??= this.#link.platform.setTimer(DIGEST_MS, () => void this.#sendAll());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  /**
   * Sends the next digests now, before the hub closes, so that other nodes learn of the last losses.
   * Channels with a loss come first, because the hub closes after a second at most.
   */
  async sendLast(): Promise<void> {
    this.stop();
    await this.#sendSome(({ lost }) => lost > 0);
    await this.#sendSome(({ lost }) => lost === 0);
  }

  async #sendAll(): Promise<void> {
    await this.#sendSome(() => true);
    this.#cancel = undefined;
    if (this.#publications.sent.size > 0) this.schedule();
  }

  async #sendSome(isDue: (entry: Sent) => boolean): Promise<void> {
    const { sent } = this.#publications;
    // Channels that are added meanwhile wait for the next interval.
    let left = sent.size;
    let batch: Promise<unknown>[] = [];
    for (const [channel, entry] of sent) {
      // During an outage digests would be lost. After the outage the nodes report a gap anyway.
      if (this.#link.state !== 'up' || left-- === 0) break;
      const digest = isDue(entry) ? this.#next(channel, entry) : undefined;
      if (digest !== undefined) batch.push(this.#send(channel, digest));
      if (batch.length < BATCH) continue;
      await Promise.all(batch);
      batch = [];
    }
    await Promise.all(batch);
  }

  /** The digest of a channel; undefined while a message has no answer, and after the last digest. */
  #next(channel: string, entry: Sent): Uint8Array | undefined {
    // A digest must not overtake a message.
    if (entry.unanswered > 0) return undefined;
    if (entry.digests > 0) {
      entry.digests--;
      const { counter, publishedAt } = entry;
      return this.#publications.encode(entry, counter + 1, publishedAt, undefined);
    }
    this.#publications.markQuiet(channel, entry);
    return undefined;
  }

  async #send(channel: string, digest: Uint8Array): Promise<void> {
    const { platform, backplane } = this.#link;
    try {
      await withTimeout(platform, DIGEST_MS, backplane.publish(channel, digest));
    } catch {
      // The next digest has the same counter.
    }
  }
}
