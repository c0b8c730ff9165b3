import type { Host } from './host.ts';
import type { Heartbeat as HeartbeatOption } from './options.ts';
import { type Alarm, timersOf } from './timers.ts';

/** What the heartbeat asks of its connection. */
export interface Patient {
  /** While the transport is paused by us, silence says nothing. */
  readonly paused: boolean;
  ping(): void;
  /** The peer answered nothing for `ms`. */
  dead(ms: number): void;
}

/** Asks a silent peer whether it is there. Nothing happens for each chunk but that {@link heard} is set. */
export class Heartbeat implements Alarm {
  tick: number | undefined;
  /** Something arrived since the last ring. */
  heard = false;
  readonly #patient: Patient;
  readonly #host: Host;
  readonly #option: HeartbeatOption;
  #asked = false;

  constructor(patient: Patient, host: Host, option: HeartbeatOption) {
    this.#patient = patient;
    this.#host = host;
    this.#option = option;
    timersOf(host).set(this, option.interval);
  }

  ring(): void {
    const { interval, timeout } = this.#option;
    const silent = !this.heard && !this.#patient.paused;
    this.heard = false;
    if (this.#asked && silent) {
      this.#patient.dead(interval + timeout);
      return;
    }
    // A paused socket sees neither FIN nor RST: the ping is written all the same, so that a reset shows.
    this.#asked = silent;
    if (silent || this.#patient.paused) this.#patient.ping();
    timersOf(this.#host).set(this, this.#asked ? timeout : interval);
  }

  stop(): void {
    timersOf(this.#host).clear(this);
  }
}
