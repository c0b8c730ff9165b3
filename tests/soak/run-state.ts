import type { Random } from '../kit/random.ts';
import type { Address } from './options.ts';

/** Handshakes at a time, so the listen queue does not overflow. */
const AT_ONCE = 128;

/** State and counters shared by all clients. */
export class RunState {
  readonly addresses: readonly Address[];
  /** Trusted certificate for TLS; undefined for TCP. */
  readonly ca: string | undefined;
  /** Open client sockets. */
  open = 0;
  opened = 0;
  ended = 0;
  /** Correct echoes. */
  messages = 0;
  /** Count of each unexpected event. */
  readonly faults: Map<string, number> = new Map();
  readonly #pauses = new Set<() => void>();
  readonly #waiting: (() => void)[] = [];
  /** Wake functions of clients whose pause is over but extended. */
  readonly #held: (() => void)[] = [];
  #opening = 0;
  #over = false;

  constructor(addresses: readonly Address[], ca: string | undefined) {
    this.addresses = addresses;
    this.ca = ca;
  }

  /** The run ends: pauses are cut short and clients leave. */
  get over(): boolean {
    return this.#over;
  }

  begin(): void {
    this.#over = false;
  }

  stop(): void {
    this.#over = true;
    this.#held.length = 0;
    for (const wake of this.#pauses) wake();
  }

  /**
   * Resolves after `ms`, or when the run is over: then to false. A pause is extended while many clients wait
   * for a handshake, so a slow machine has as many connections as a fast one.
   */
  async pause(ms: number): Promise<boolean> {
    if (this.#over) return false;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#pauses.delete(wake);
        resolve();
      };
      const timer = setTimeout(() => {
        if (this.#congested) this.#held.push(wake);
        else wake();
      }, ms);
      this.#pauses.add(wake);
    });
    return !this.#over;
  }

  get #congested(): boolean {
    return this.#waiting.length > AT_ONCE / 4;
  }

  /** Waits for `closed`, at most `ms`, or until the run is over. Resolves to false after `ms`. */
  outlives(ms: number, closed: Promise<void>): Promise<boolean> {
    return this.within(ms, this.untilOver(closed));
  }

  /** Waits for `closed` or until the run is over. */
  async untilOver(closed: Promise<void>): Promise<void> {
    if (this.#over) return;
    let wake!: () => void;
    const over = new Promise<void>((resolve) => {
      wake = resolve;
      this.#pauses.add(wake);
    });
    await Promise.race([closed, over]);
    this.#pauses.delete(wake);
  }

  /** Waits for `ended`, at most `ms`. Resolves to false after `ms`. */
  async within<Value>(ms: number, ended: Promise<Value>): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, ms, false);
    });
    const inTime = await Promise.race([ended.then(() => true), late]);
    clearTimeout(timer);
    return inTime;
  }

  /**
   * Opens a connection when the limit of handshakes allows it; undefined when the run is over before.
   * Rejects as `open` does.
   */
  async admit<Opened>(open: () => Promise<Opened>): Promise<Opened | undefined> {
    if (this.#opening === AT_ONCE) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#opening++;
    try {
      return this.#over ? undefined : await open();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#opening--;
      else next();
      // Each handshake ends two extended pauses, so their number falls.
      if (!this.#congested) for (const wake of this.#held.splice(0, 2)) wake();
    }
  }

  fault(what: string): void {
    this.faults.set(what, (this.faults.get(what) ?? 0) + 1);
  }

  /** Counts an open connection. Call the result when it is closed. */
  enter(): () => void {
    this.open++;
    this.opened++;
    return () => {
      this.open--;
      this.ended++;
    };
  }
}

/** A client from its first byte to the end of its socket. A rejection counts as a fault. */
export type Behaviour = (state: RunState, random: Random) => Promise<void>;

/** A kind of client; `weight` is its share. */
export interface ClientKind {
  readonly weight: number;
  readonly name: string;
  readonly behave: Behaviour;
}
