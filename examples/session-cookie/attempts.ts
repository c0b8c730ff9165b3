/** The total of all addresses, as a multiple of the bound of one address. */
const ADDRESSES = 10;

/**
 * Bounds the attempts of each address, and of all addresses together, in each minute. The total also
 * bounds the stored addresses.
 */
export class Attempts {
  readonly #perMinute: number;
  readonly #counts = new Map<string, number>();
  #total = 0;

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
    setInterval(() => {
      this.#counts.clear();
      this.#total = 0;
    }, 60_000).unref();
  }

  /** Counts an attempt. @returns false when this minute allows no more; the attempt is not counted. */
  take(address: string): boolean {
    const count = this.#counts.get(address) ?? 0;
    if (count >= this.#perMinute || this.#total >= ADDRESSES * this.#perMinute) return false;
    this.#counts.set(address, count + 1);
    this.#total++;
    return true;
  }
}
