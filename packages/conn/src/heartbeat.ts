import type { Heartbeat as HeartbeatOption } from './options.ts';
import type { Alarm, Timers } from './timers.ts';

/** What the heartbeat asks of a connection. Its alarm rings for the heartbeat as long as nothing is known of its end. */
export interface Patient extends Alarm {
  /** When the last bytes arrived, by the host's clock, in whole ms: a fraction would be an object of its own. */
  heardAt: number;
  /** When the peer was asked, and has not been heard since. */
  askedAt: number | undefined;
  /** While the transport is paused by us, silence says nothing. */
  readonly paused: boolean;
  ping(): void;
  /** The peer was silent for `ms`. */
  dead(ms: number): void;
}

/**
 * Asks silent peers whether they are there: one for all connections of a kind. All that happens for a chunk is that
 * {@link Patient.heardAt} is set.
 */
export class Heartbeat {
  readonly #timers: Timers;
  readonly #option: HeartbeatOption;

  constructor(timers: Timers, option: HeartbeatOption) {
    this.#timers = timers;
    this.#option = option;
  }

  start(patient: Patient): void {
    this.#timers.set(patient, this.#option.interval);
  }

  /** The alarm of `patient` rings, at `now`. */
  ring(patient: Patient, now: number): void {
    const { interval, timeout } = this.#option;
    // A paused socket sees neither bytes nor FIN nor RST: it is pinged all the same, so that a reset shows.
    if (patient.paused) patient.heardAt = Math.ceil(now);
    const silence = now - patient.heardAt;
    let { askedAt } = patient;
    if (askedAt !== undefined && patient.heardAt >= askedAt) askedAt = undefined;
    if (askedAt !== undefined && now >= askedAt + timeout) return patient.dead(silence);
    let next = interval - silence;
    if (next <= 0 || patient.paused) {
      if (askedAt === undefined) patient.ping();
      askedAt ??= now;
      // Not the whole of a timeout that is longer: the answer is looked for sooner, and the silence after it counted.
      next = patient.paused ? interval : Math.min(interval, askedAt + timeout - now);
    }
    patient.askedAt = askedAt;
    this.#timers.set(patient, next);
  }
}
