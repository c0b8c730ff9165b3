import dns, { type LookupAddress, type LookupOptions } from 'node:dns';
import { getDefaultAutoSelectFamilyAttemptTimeout, isIP, type Socket } from 'node:net';
import { isThenable } from '@ws/conn/internal';
import { asError, describeResult } from '@ws/node-io/internal';
import { GuardedStream } from './guarded-stream.ts';
import type { SocketOptions } from './options.ts';

/**
 * Finds the addresses of a name, in the order to try them: families take turns (RFC 8305, section
 * 4).
 *
 * @param label - The option that holds `lookup`, for messages.
 * @throws (rejects with) the error of the lookup; TypeError when it finds no IP address.
 */
export async function findAddresses(
  name: string,
  {
    lookup,
    family = 0,
    localAddress = '',
    hints = 0,
  }: SocketOptions & Pick<LookupOptions, 'hints'>,
  label: string,
): Promise<readonly string[]> {
  // An address of one family reaches only that family.
  const wanted = family === 0 ? isIP(localAddress) : family;
  // As net.connect does: no addresses of a family that this machine does not have.
  const ofMachine = wanted === 0 && hints === 0 && process.platform !== 'win32';
  const options = { all: true, family: wanted, hints: ofMachine ? dns.ADDRCONFIG : hints };
  // By name: programs replace `dns.lookup`.
  const found = await callLookup(lookup ?? dns.lookup, name, options, label);
  return alternating(ipAddresses(found, label));
}

/** Returns a lookup that has found one address. */
export function lookupOf(address: string): Lookup {
  const family = isIP(address);
  return (_name, { all }, done) => {
    if (all) done(null, [{ address, family }]);
    else done(null, address, family);
  };
}

type Lookup = NonNullable<SocketOptions['lookup']>;

const TO_CALLBACK = 'expected addresses by the callback, got a promise of them';

/** Resolves with what a lookup passes to its callback: a list, or one address. */
function callLookup(
  lookup: Lookup,
  name: string,
  options: LookupOptions,
  label: string,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const failed = (error: unknown): void => reject(asError(error, label));
    const returned = (value: unknown): void => {
      if (value !== undefined) failed(new TypeError(`${label}: ${TO_CALLBACK}`));
    };
    try {
      const pending: unknown = lookup(name, options, (error, found) => {
        if (error) failed(error);
        else resolve(found);
      });
      if (isThenable(pending)) pending.then(returned, failed);
    } catch (error) {
      failed(error);
    }
  });
}

/** @throws TypeError without an IP address; Error for an empty list. */
function ipAddresses(found: unknown, label: string): string[] {
  const list = Array.isArray(found)
    ? found.map((each) => (each as LookupAddress)?.address)
    : [found];
  const addresses = list.filter((address) => typeof address === 'string' && isIP(address) !== 0);
  if (addresses.length > 0) return [...new Set(addresses as string[])];
  if (list.length === 0) {
    throw Object.assign(new Error(`${label} found no address`), { code: 'ENOTFOUND' });
  }
  throw new TypeError(`${label}: expected IP addresses, got ${describeResult(list[0])}`);
}

function alternating(addresses: readonly string[]): string[] {
  const first = isIP(addresses[0]!);
  const same = addresses.filter((address) => isIP(address) === first);
  const other = addresses.filter((address) => isIP(address) !== first);
  const rounds = Math.max(same.length, other.length);
  return Array.from({ length: rounds }, (_, i) => [
    same.slice(i, i + 1),
    other.slice(i, i + 1),
  ]).flat(2);
}

/**
 * Connects to addresses. The first connection wins. The next attempt starts when one fails, or after
 * a delay, and earlier ones continue (RFC 8305, section 5). net.connect gives up each address but
 * the last after that delay: a slow network with a dead second address would not be reached.
 */
export class AddressRace {
  /** @throws (rejects with) the error of the only attempt, or an AggregateError of all. */
  readonly winner: Promise<GuardedStream>;
  readonly #addresses: readonly string[];
  readonly #connect: (address: string) => Socket;
  /** The function that removes the listeners of the race from each stream. */
  readonly #releases = new Map<GuardedStream, () => void>();
  readonly #errors: unknown[] = [];
  #resolve!: (winner: GuardedStream) => void;
  #reject!: (error: unknown) => void;
  #started = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param connect - Creates a socket. It may throw. */
  constructor(addresses: readonly string[], connect: (address: string) => Socket) {
    this.#addresses = addresses;
    this.#connect = connect;
    this.winner = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#startNext();
  }

  /** Ends all attempts except one. */
  stop(except?: GuardedStream): void {
    clearTimeout(this.#timer);
    for (const [guarded, release] of this.#releases) {
      release();
      if (guarded !== except) guarded.destroy();
    }
  }

  readonly #startNext = (): void => {
    clearTimeout(this.#timer);
    const address = this.#addresses[this.#started];
    if (address === undefined) {
      if (this.#errors.length === this.#started) this.#reject(allOf(this.#errors));
      return;
    }
    if (++this.#started < this.#addresses.length) {
      this.#timer = setTimeout(this.#startNext, getDefaultAutoSelectFamilyAttemptTimeout());
    }
    try {
      this.#attempt(new GuardedStream(this.#connect(address)));
    } catch (error) {
      this.#failed(error);
    }
  };

  #attempt(guarded: GuardedStream): void {
    const { stream } = guarded;
    const onOpen = (): void => {
      // A socket that has failed may still emit 'connect' in the same turn.
      if (guarded.error === undefined) this.#resolve(guarded);
    };
    const onClose = (): void => this.#failed(guarded.error);
    stream.once('connect', onOpen).once('close', onClose);
    const release = (): void => void stream.off('connect', onOpen).off('close', onClose);
    this.#releases.set(guarded, release);
  }

  #failed(error: unknown): void {
    this.#errors.push(error);
    this.#startNext();
  }
}

/** The code is the code of the first error, as for net.connect. */
function allOf(errors: readonly unknown[]): unknown {
  if (errors.length === 1) return errors[0];
  const { code } = (errors[0] ?? {}) as NodeJS.ErrnoException;
  return Object.assign(new AggregateError(errors), { code });
}
