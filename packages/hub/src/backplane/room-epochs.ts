import type { BackplaneLink } from './backplane-link.ts';
import type { Channel } from './channel.ts';

/**
 * Reads the ends of quiet rooms whose history the engine keeps: a room that has had no message has a
 * position too, and its epoch outlives the last member.
 */
export class RoomEpochs {
  readonly #link: BackplaneLink;

  constructor(link: BackplaneLink) {
    this.#link = link;
  }

  /** The engine sends the messages of a channel. */
  async read(channel: Channel): Promise<void> {
    if (channel.history === undefined) return;
    channel.heardAt = this.#link.platform.now();
    try {
      const { arrivals, epoch, last = 0 } = await this.#link.reads.read(channel.room, undefined, 1);
      if (arrivals.length === 0 && epoch !== undefined) channel.foundNone({ epoch, offset: last });
    } catch {
      // The engine is away: its return shows what is missing.
    }
  }

  /** Called each 5 s. See {@link epochTtl}. */
  beat(): void {
    if (this.#link.state !== 'up') return;
    const now = this.#link.platform.now();
    for (const channel of this.#link.channels.values()) {
      const { history, heardAt } = channel;
      if (history !== undefined && now - heardAt >= history.ttl) void this.read(channel);
    }
  }
}
