import type { Keep } from './backplane.ts';
import type { BackplaneLink } from './backplane-link.ts';
import type { Publications, Sent } from './publications.ts';
import { withTimeout } from './with-timeout.ts';

/** Interval of digests, and longest wait for the engine's answer to one, in ms. */
const DIGEST_MS = 5_000;
/** Digests that wait for the engine at a time, so that they do not delay messages. */
const BATCH = 100;

/**
 * Repeats the counter of the last message on each channel, so that other nodes notice the loss of a
 * last message.
 */
export class Digests<Data> {
  readonly #link: BackplaneLink<Data>;
  readonly #publications: Publications<Data>;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(link: BackplaneLink<Data>, publications: Publications<Data>) {
    this.#link = link;
    this.#publications = publications;
  }

  /** A message was published. */
  schedule(): void {
    if (this.#stopped) return;
    this.#cancel ??= this.#link.platform.setTimer(DIGEST_MS, () => void this.#sendAll());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  /**
   * Sends the next digests now, so that the other nodes learn what this node has lost. Channels with
   * a loss come first, because the end of the hub does not wait for long.
   */
  async sendLast(): Promise<void> {
    this.stop();
    await this.recordLosses();
    await this.#sendSome(({ lost }) => lost > 0);
    await this.#sendSome(({ lost }) => lost === 0);
  }

  /**
   * Adds a digest to each history that lacks a message which members have. So no later read from a
   * position before the loss is complete, on any node.
   */
  recordLosses(): Promise<void> {
    return this.#sendEach((channel, entry) => this.#recordLoss(channel, entry));
  }

  async #sendAll(): Promise<void> {
    await this.recordLosses();
    await this.#sendSome(() => true);
    this.#cancel = undefined;
    if (this.#publications.sent.size > 0) this.schedule();
  }

  #sendSome(isDue: (entry: Sent<Data>) => boolean): Promise<void> {
    return this.#sendEach((channel, entry) => {
      const digest = isDue(entry) ? this.#next(channel, entry) : undefined;
      return digest && this.#send(channel, digest);
    });
  }

  /** @param send - Returns undefined if it sends nothing. */
  async #sendEach(
    send: (channel: string, entry: Sent<Data>) => Promise<unknown> | undefined,
  ): Promise<void> {
    const { sent } = this.#publications;
    // A channel that starts meanwhile waits for the next time.
    let left = sent.size;
    let batch: Promise<unknown>[] = [];
    for (const [channel, entry] of sent) {
      // During an outage digests would be lost. After it the nodes report a gap anyway.
      if (this.#link.state !== 'up' || left-- === 0) break;
      const sending = send(channel, entry);
      if (sending !== undefined) batch.push(sending);
      if (batch.length < BATCH) continue;
      await Promise.all(batch);
      batch = [];
    }
    await Promise.all(batch);
  }

  /** The digest of a channel; undefined while a message has no answer, and after the last digest. */
  #next(channel: string, entry: Sent<Data>): Uint8Array | undefined {
    // A digest must not overtake a message.
    if (entry.unanswered > 0) return undefined;
    if (entry.digests > 0) {
      entry.digests--;
      const { counter, publishedAt } = entry;
      return this.#publications.encode(entry, counter + 1, publishedAt, undefined);
    }
    if (entry.through.size === 0) this.#publications.markQuiet(channel, entry);
    return undefined;
  }

  #recordLoss(channel: string, entry: Sent<Data>): Promise<unknown> | undefined {
    const { lacking, lost, lostAt } = entry;
    if (lacking === undefined) return undefined;
    entry.lacking = undefined;
    const digest = this.#publications.encode(entry, lost + 1, lostAt, undefined);
    return this.#send(channel, digest, lacking).then((isSent) => {
      // Tried again with the next digests.
      if (!isSent) entry.lacking = lacking;
    });
  }

  /** @returns False if the engine has not answered. The next digest has the same counter. */
  async #send(channel: string, digest: Uint8Array, keep?: Keep): Promise<boolean> {
    const { platform, backplane } = this.#link;
    try {
      await withTimeout(platform, DIGEST_MS, backplane.publish(channel, digest, keep));
      return true;
    } catch {
      return false;
    }
  }
}
