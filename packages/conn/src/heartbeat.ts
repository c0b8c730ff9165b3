import type { Host } from './host.ts';
import type { Heartbeat as HeartbeatOption } from './options.ts';
import { type Alarm, timersOf } from './timers.ts';

/** What the heartbeat asks of its connection. */
export interface Patient {
  /** While the transport is paused by us, silence says nothing. */
  readonly paused: boolean;
  ping(): void;
  /** The peer was silent for `ms`. */
  dead(ms: number): void;
}

/** Asks a silent peer whether it is there. All that happens for a chunk is that {@link heardAt} is set. */
export class Heartbeat implements Alarm {
  tick: number | undefined;
  /** When the last bytes arrived, by the host's clock. */
  heardAt: number;
  /** When the peer was asked, and has not been heard since. */
  #askedAt = Infinity;
  readonly #patient: Patient;
  readonly #host: Host;
  readonly #option: HeartbeatOption;

  constructor(patient: Patient, host: Host, option: HeartbeatOption) {
    this.#patient = patient;
    this.#host = host;
    this.#option = option;
    this.heardAt = host.now();
    timersOf(host).set(this, option.interval);
  }

  ring(): void {
    const { interval, timeout } = this.#option;
    const now = this.#host.now();
    // A paused socket sees neither bytes nor FIN nor RST: it is pinged all the same, so that a reset shows.
    if (this.#patient.paused) this.heardAt = now;
    if (this.heardAt >= this.#askedAt) this.#askedAt = Infinity;
    if (now >= this.#askedAt + timeout) return this.#patient.dead(now - this.heardAt);
    let next = interval - (now - this.heardAt);
    if (next <= 0 || this.#patient.paused) {
      if (this.#askedAt === Infinity || this.#patient.paused) this.#patient.ping();
      this.#askedAt = Math.min(this.#askedAt, now);
      // Not the whole of a timeout that is longer: the answer is looked for sooner, and the silence after it counted.
      next = this.#patient.paused ? interval : Math.min(interval, this.#askedAt + timeout - now);
    }
    timersOf(this.#host).set(this, next);
  }

  stop(): void {
    timersOf(this.#host).clear(this);
  }
}
