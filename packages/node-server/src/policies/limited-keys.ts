import { Bucket, type BucketPlan, RateTokens } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { type HandshakeError, quoted, tryLater } from '../errors.ts';
import type { LimitPlan } from './limit-options.ts';

/** Most keys without a connection that an entry keeps. */
const MAX_SPENT = 100_000;
/** Of these, as many are looked at when a key is taken. */
const LOOKS = 8;

/** Copies a text: V8 keeps the whole of a text, such as a Cookie, for each of its parts. */
function owned(id: string | number): string | number {
  if (typeof id === 'number') return id;
  const encoding = Buffer.byteLength(id) === id.length ? 'latin1' : 'utf16le';
  return Buffer.from(id, encoding).toString(encoding);
}

/** One key of an entry of `limits`: a user, or an address. Its tokens are those of `handshakes`. */
export class Key extends Bucket {
  declare readonly plan: LimitedKeys;
  readonly id: string | number;
  /** Open connections and pending handshakes. */
  connections = 0;
  /** With `over: 'oldest'`: its open connections, the oldest first. */
  readonly open: Set<object> | undefined;
  #rate: RateTokens | undefined = undefined;

  constructor(keys: LimitedKeys, id: string | number, now: number) {
    super(keys, now);
    this.id = id;
    this.open = keys.limit.closesOldest ? new Set() : undefined;
  }

  /** The tokens of all its connections. Only for an entry with `rate`. */
  get rate(): RateTokens {
    this.#rate ??= new RateTokens(this.plan.limit.rate!, nodePlatform.now(), true);
    return this.#rate;
  }

  /** Ms until nothing is spent. */
  msUntilFull(now: number): number {
    this.refill(now);
    const own = this.msUntil(this.plan.size);
    return this.#rate === undefined ? own : Math.max(own, this.#rate.msUntilFull(now));
  }
}

/** The keys of one entry of `limits`. */
export class LimitedKeys implements BucketPlan {
  readonly limit: LimitPlan;
  readonly perMs: number;
  readonly size: number;
  /** With connections or pending handshakes. */
  readonly #used = new Map<string | number, Key>();
  /** Without, while something of theirs is spent. */
  readonly #spent = new Map<string | number, Key>();
  /** Goes round in {@link #spent}. */
  #hand: MapIterator<Key> = this.#spent.values();
  readonly #closeOldest: (connection: object) => void;

  constructor(limit: LimitPlan, closeOldest: (connection: object) => void) {
    this.limit = limit;
    this.perMs = limit.perMs;
    this.size = limit.size;
    this.#closeOldest = closeOldest;
  }

  /**
   * Counts a handshake.
   *
   * @throws HandshakeError 429 when the key has too many.
   */
  count(id: string | number): Key {
    const now = nodePlatform.now();
    const key = this.#used.get(id) ?? this.#spent.get(id) ?? new Key(this, owned(id), now);
    this.#forgetFull(now);
    key.refill(now);
    if (!key.has(1)) throw this.#tooMany('handshakes', key);
    const isFull = key.connections >= this.limit.connections;
    if (isFull && !this.#closesOldest(key)) throw this.#tooMany('connections', key);
    key.tokens--;
    key.connections++;
    this.#spent.delete(key.id);
    this.#used.set(key.id, key);
    return key;
  }

  /** @param connection - Undefined for a handshake that has failed. */
  giveBack(key: Key, connection: object | undefined): void {
    // It was closed as the oldest one: another has its place.
    if (connection !== undefined && key.open?.delete(connection) === false) return;
    if (--key.connections > 0) return;
    this.#used.delete(key.id);
    if (key.msUntilFull(nodePlatform.now()) > 0) this.#spent.set(key.id, key);
  }

  /** @returns false when none of its connections is open. */
  #closesOldest(key: Key): boolean {
    const [oldest] = key.open ?? [];
    if (oldest === undefined) return false;
    this.giveBack(key, oldest);
    this.#closeOldest(oldest);
    return true;
  }

  #tooMany(what: 'connections' | 'handshakes', { id }: Key): HandshakeError {
    const { by, connections } = this.limit;
    const most =
      what === 'connections' ? `${connections} is the most` : `${this.perMs * 1_000} a second`;
    const hint = by === 'address' ? ', or set trustProxy behind a proxy' : '';
    const who = by === 'address' ? 'from' : 'of the key';
    const message = `too many ${what} ${who} ${quoted(String(id))}: ${most}; raise ${what} of limits${hint}`;
    const body = `too many ${what}${by === 'address' ? ' from this address' : ''}\n`;
    return tryLater(429, message, { body });
  }

  /** Forgets some keys that would be equal to new ones, and above the bound the fullest of some. */
  #forgetFull(now: number): void {
    let fullest: Key | undefined;
    let least = Infinity;
    for (let looks = 0; looks < LOOKS; looks++) {
      const { value: key, done } = this.#hand.next();
      if (done) {
        this.#hand = this.#spent.values();
        break;
      }
      const ms = key.msUntilFull(now);
      if (ms === 0) this.#spent.delete(key.id);
      else if (ms < least) [fullest, least] = [key, ms];
    }
    const isAbove = this.#spent.size > MAX_SPENT;
    if (isAbove && fullest !== undefined) this.#spent.delete(fullest.id);
  }
}
