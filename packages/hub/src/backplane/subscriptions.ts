import type { BackplaneLink } from './backplane-link.ts';
import { added, sleep, withTimeout } from './with-timeout.ts';

/** Shortest and longest pause before a refused subscription is tried again, in ms. */
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;
/** Longest wait for the engine's answer to a change, in ms. */
const ANSWER_MS = 60_000;

/** Subscribes to the channels that this node receives, and to no others. */
export class Subscriptions {
  readonly #link: BackplaneLink;
  readonly #subscribed = new Set<string>();
  /** By channel: the functions that wait for the end of its current change. */
  readonly #changing = new Map<string, Set<() => void>>();
  /** The channels that the engine refuses. */
  readonly #refused = new Set<string>();

  constructor(link: BackplaneLink) {
    this.#link = link;
  }

  /** Whether the engine sends the messages of a channel. */
  has(channel: string): boolean {
    return this.#subscribed.has(channel);
  }

  /** Called when the first member of this node has joined a channel, or the last one has left. */
  update(channel: string): void {
    if (!this.#changing.has(channel) && !this.#refused.has(channel)) void this.#change(channel);
  }

  /** Called when the engine has ended a subscription. */
  ended(channel: string, error: Error): void {
    if (!this.#subscribed.delete(channel)) return;
    if (!this.#changing.has(channel)) void this.#retry(channel, error);
  }

  /**
   * Calls `ready` when no change of a channel is in progress. Keeps the order of the calls.
   *
   * @returns A function that removes `ready`.
   */
  whenSettled(channel: string, ready: () => void): () => void {
    const waiting = this.#changing.get(channel);
    if (waiting !== undefined) return added(waiting, ready);
    ready();
    return () => {};
  }

  /** Subscribes or unsubscribes, until this fits the members: they may join and leave meanwhile. */
  async #change(channel: string): Promise<void> {
    const waiting = new Set<() => void>();
    this.#changing.set(channel, waiting);
    let refusal: unknown;
    try {
      await this.#link.started;
      while (this.#isDue(channel)) await this.#changeOnce(channel);
    } catch (error) {
      refusal = error;
    }
    // Also calls functions that are added in this loop, so that none overtakes another.
    for (const ready of waiting) ready();
    this.#changing.delete(channel);
    if (refusal !== undefined) await this.#retry(channel, refusal);
    else if (this.#isDue(channel)) this.update(channel);
  }

  #isDue(channel: string): boolean {
    return this.#link.channels.has(channel) !== this.#subscribed.has(channel);
  }

  async #changeOnce(channel: string): Promise<void> {
    const { backplane, platform } = this.#link;
    if (this.#subscribed.has(channel)) {
      await withTimeout(platform, ANSWER_MS, backplane.unsubscribe(channel));
      this.#subscribed.delete(channel);
    } else {
      await withTimeout(platform, ANSWER_MS, backplane.subscribe(channel));
      this.#subscribed.add(channel);
      this.#link.subscribed(channel, this.#refused.has(channel));
    }
  }

  /** Tries a refused change again, with growing pauses. Reports the first refusal only. */
  async #retry(channel: string, refusal: unknown): Promise<void> {
    if (this.#link.closed) return;
    this.#link.faults.channelRefused(channel, refusal);
    this.#refused.add(channel);
    for (let pause = RETRY_MS; this.#isDue(channel); pause = Math.min(2 * pause, MAX_RETRY_MS)) {
      await sleep(this.#link.platform, pause);
      if (this.#link.closed) return;
      // Ignores a further refusal: the first one was reported.
      if (this.#isDue(channel)) await this.#changeOnce(channel).catch(() => {});
    }
    this.#refused.delete(channel);
  }
}
