/** The network between suite and target. All attempts of a run share it. */
export class Link {
  #roundTrip = Number.POSITIVE_INFINITY;

  /** Adds a measurement, in ms. The smallest counts: a busy event loop only makes others larger. */
  measured(ms: number): void {
    this.#roundTrip = Math.min(this.#roundTrip, ms);
  }

  /** Time of a round trip in ms; 0 before the first measurement. */
  get roundTrip(): number {
    return Number.isFinite(this.#roundTrip) ? this.#roundTrip : 0;
  }
}
