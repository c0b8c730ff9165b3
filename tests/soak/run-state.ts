import type { Random } from '../random.ts';
import type { Address } from './plan.ts';

/** Connections that are being opened at a time: no listening queue overflows. */
const AT_ONCE = 128;

/** What the lives of all clients share, and what became of them. */
export class Scene {
  readonly addresses: readonly Address[];
  /** Trusted, where the servers are reached over TLS. */
  readonly ca: string | undefined;
  /** Sockets of ours that have connected and are not closed. */
  open = 0;
  opened = 0;
  ended = 0;
  /** Messages that came back as they should. */
  messages = 0;
  /** What went otherwise than it should, and how often. */
  readonly faults: Map<string, number> = new Map();
  readonly #pauses = new Set<() => void>();
  readonly #waiting: (() => void)[] = [];
  /** Those whose pause would be over, and who stay. */
  readonly #held: (() => void)[] = [];
  #opening = 0;
  #over = false;

  constructor(addresses: readonly Address[], ca: string | undefined) {
    this.addresses = addresses;
    this.ca = ca;
  }

  /** Everybody should come to an end: who pauses is woken. */
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
   * Resolves after `ms`, or when all is over; gives whether it is not. Whoever pauses stays while many wait to come in, so
   * that on a machine that is slow as many are there as on a fast one.
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
        if (this.#crowded) this.#held.push(wake);
        else wake();
      }, ms);
      this.#pauses.add(wake);
    });
    return !this.#over;
  }

  get #crowded(): boolean {
    return this.#waiting.length > AT_ONCE / 4;
  }

  /** Waits for `closed`, at most for `ms`, and not when all is over; gives whether it was in time. */
  outlives(ms: number, closed: Promise<void>): Promise<boolean> {
    return this.within(ms, this.untilOver(closed));
  }

  /** Waits for `closed`, and not when all is over. */
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

  /** Waits for `ended`, at most for `ms`; gives whether it was in time. */
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
   * Opens a connection, in turn with all others who want one; gives undefined when it is all over before.
   *
   * @throws (rejects with) what `open` rejects with.
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
      // One that has come lets two go on: those who stayed become fewer.
      if (!this.#crowded) for (const wake of this.#held.splice(0, 2)) wake();
    }
  }

  fault(what: string): void {
    this.faults.set(what, (this.faults.get(what) ?? 0) + 1);
  }

  /** A connection is there; call what is given once it is not. */
  enter(): () => void {
    this.open++;
    this.opened++;
    return () => {
      this.open--;
      this.ended++;
    };
  }
}

/** What one client does from its first byte to the end of its socket. What it rejects with is a fault. */
export type Life = (scene: Scene, random: Random) => Promise<void>;

/** A kind of client: how many of all are of it, by weight, and what it does. */
export interface Kind {
  readonly weight: number;
  readonly name: string;
  readonly life: Life;
}
