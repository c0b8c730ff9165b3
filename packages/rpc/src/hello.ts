import { CloseError, type ConnLike, portablePlatform } from '@ws/conn';
import { isThenable, kind, onRejection, whole } from '@ws/conn/internal';
import type { WireMessage } from './wire.ts';

/** The method and the id of the first request of a client. No call has this id. */
export const HELLO = '$/hello';
/** The event with which a server reports that it has seen a higher version: `{ version }`. */
export const VERSION = '$/version';
/** The number of the wire that this release speaks. */
export const WIRE = 1;
/** The code of the error with which a server refuses a version. */
export const VERSION_REFUSED = -32_010;
/** The close code after the error `outdated`. */
export const OUTDATED_CODE = 4426;
/** When a server has only refused a newer client for so many ms, the client ends. */
const NEWER_MS = 60_000;
/** Least time in ms between two events {@link VERSION}, and the number that leaves in a turn. */
const TELL_MS = 60_000;
const PER_TURN = 256;

/** Why a server refuses the version of a client. */
export type Refusal = 'outdated' | 'newer';

/** The version of a contract, and the versions of clients that a server admits. */
export interface ContractVersion {
  readonly version?: number | undefined;
  readonly accepts?: readonly number[] | ((version: number) => boolean) | undefined;
}

/** What a server that refuses a client says about itself. */
export interface ServerVersion {
  /** The version of its contract. */
  readonly version: number | undefined;
  /** The list `accepts` of its contract; undefined for a function. */
  readonly accepts: readonly number[] | undefined;
}

/**
 * The server does not serve the version of this client's contract any more: load the application again.
 * `closeCode` is 4426.
 *
 * @example
 * ```ts
 * import { OutdatedError } from '@ws/rpc';
 *
 * const isOutdated = (error: unknown) => error instanceof OutdatedError;
 * ```
 */
export class OutdatedError extends CloseError implements ServerVersion {
  /** The version of the server's contract; undefined if the server has not told it. */
  readonly version: number | undefined;
  /** The versions of clients that the server admits, if it has told a list. */
  readonly accepts: readonly number[] | undefined;

  constructor({ version, accepts }: ServerVersion) {
    super(OUTDATED_CODE, 'outdated', 'load the application again');
    this.version = version;
    this.accepts = accepts;
  }

  override get name(): string {
    return 'OutdatedError';
  }
}

/** Whether `value` may be the version of a contract. */
export function isVersion(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

/**
 * The version of a contract, or that of the contract which it extends.
 *
 * @throws TypeError, RangeError that names the option.
 */
export function checkVersion(
  { version, accepts }: ContractVersion,
  other: ContractVersion = {},
): ContractVersion {
  if (version === undefined) {
    if (accepts === undefined) return other;
    throw new TypeError(
      'contract: accepts: write the version too: { version: 3, accepts: [2, 3] }',
    );
  }
  whole('contract: version', version);
  if (other.version !== undefined) {
    throw new TypeError('contract: version: both contracts have one; leave one of them out');
  }
  if (accepts === undefined || typeof accepts === 'function') return { version, accepts };
  if (!Array.isArray(accepts)) {
    throw new TypeError(`contract: accepts: expected a list or a function, got ${kind(accepts)}`);
  }
  for (const each of accepts) whole('contract: accepts', each as number);
  return { version, accepts: Object.freeze([...accepts]) };
}

/** The list of accepted versions, if there is one. */
export function listOf({ accepts }: ContractVersion): readonly number[] | undefined {
  return typeof accepts === 'function' ? undefined : accepts;
}

/**
 * Why a server refuses a client of this version; undefined for a client that it admits. A client of the
 * server's own version that a function refuses counts as newer: it may try again.
 *
 * @param failed - Called with the error of the function `accepts`.
 */
export function refusalOf(
  { version: own, accepts }: ContractVersion,
  version: number | undefined,
  failed: (error: unknown) => void,
): Refusal | undefined {
  if (own === undefined || accepts === undefined || version === undefined) return undefined;
  if (typeof accepts !== 'function') {
    if (version === own || accepts.includes(version)) return undefined;
  } else {
    try {
      const answer: unknown = accepts(version);
      if (answer === true) return undefined;
      if (answer !== false) {
        onRejection(answer, () => {});
        const got = isThenable(answer) ? 'a promise; it must be synchronous' : kind(answer);
        throw new TypeError(`accepts: expected true or false, got ${got}`);
      }
    } catch (error) {
      failed(error);
    }
  }
  return version < own ? 'outdated' : 'newer';
}

/** The hellos of a client, and what it learns from their answers. */
export class Hellos {
  /** The highest version that the server has told. A later node of it may be older. */
  serverVersion: number | undefined;
  /** The connection on which the server handles nothing, because this client is newer. */
  refusedOn: ConnLike | undefined;
  readonly #version: number | undefined;
  readonly #onOutdated: (error: OutdatedError) => void;
  /** The error of all calls after the server has refused the version for good. */
  #error: OutdatedError | undefined;
  /** The connection with the last hello. */
  #saidOn: ConnLike | undefined;
  /** Whether it has no answer. A proxy may replay one. */
  #isOpen = false;
  /** When the first refusal as newer came after which the server has admitted no hello, in ms. */
  #newerSince: number | undefined;

  /** @param onOutdated - Called once. */
  constructor(version: number | undefined, onOutdated: (error: OutdatedError) => void) {
    this.#version = version;
    this.#onOutdated = onOutdated;
  }

  /** Whether the server has a version above that of this client. */
  get isServerNewer(): boolean {
    return this.#version !== undefined && this.#version < (this.serverVersion ?? 0);
  }

  /** Sends the hello of a connection. Nothing waits for its answer. */
  send(conn: ConnLike): void {
    if (conn === this.#saidOn) return;
    this.#saidOn = conn;
    this.#isOpen = true;
    const params = { wire: WIRE, version: this.#version };
    const text = JSON.stringify({ jsonrpc: '2.0', id: HELLO, method: HELLO, params });
    conn.send(text).catch(() => {});
  }

  answered(conn: ConnLike | undefined, { result, error }: WireMessage): void {
    if (!this.#isOpen || conn !== this.#saidOn) return;
    this.#isOpen = false;
    const { code, message, data } = Object(error) as Record<string, unknown>;
    const isNewer = code === VERSION_REFUSED && message === 'newer';
    if (isNewer) {
      this.refusedOn = conn;
      const now = portablePlatform.now();
      this.#newerSince ??= now;
      if (now - this.#newerSince < NEWER_MS) return;
    } else if (code !== VERSION_REFUSED || message !== 'outdated') {
      this.#newerSince = undefined;
      return this.told(Object(result) as object);
    }
    const { version, accepts } = Object(data) as Record<string, unknown>;
    this.#outdated({
      version: isVersion(version) ? version : undefined,
      accepts: Array.isArray(accepts) ? accepts.filter(isVersion) : undefined,
    });
  }

  #outdated(server: ServerVersion): OutdatedError {
    if (this.#error === undefined) this.#onOutdated((this.#error = new OutdatedError(server)));
    return this.#error;
  }

  /** The error of calls on a connection that has ended, if the server has refused the version for good. */
  errorAt({ code }: { readonly code: number }): OutdatedError | undefined {
    if (code !== OUTDATED_CODE) return this.#error;
    return this.#outdated({ version: undefined, accepts: undefined });
  }

  /** Takes what a server says of itself. */
  told({ version }: { readonly version?: unknown }): void {
    if (isVersion(version)) this.serverVersion = Math.max(version, this.serverVersion ?? 0);
  }
}

/** The highest version that a server has seen: of its own contract, or of another node. */
export class SeenVersion {
  /** The version of the contract. */
  readonly version: number | undefined;
  highest: number | undefined;
  /** The clients that have said hello. */
  readonly clients: Set<{ tellVersion(version: number): void }> = new Set();
  /** When the clients were told last, in ms. */
  #toldAt = -Infinity;
  #isWaiting = false;

  constructor(version: number | undefined) {
    this.version = version;
    this.highest = version;
  }

  /** Another node has this version. If it is higher, tells the clients, at most once a minute. */
  saw(version: number): void {
    if (version <= (this.highest ?? 0)) return;
    this.highest = version;
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    const wait = Math.max(0, this.#toldAt + TELL_MS - portablePlatform.now());
    if (wait === 0) this.#tell();
    else portablePlatform.setTimer(wait, () => this.#tell());
  }

  #tell(): void {
    this.#isWaiting = false;
    this.#toldAt = portablePlatform.now();
    const clients = [...this.clients];
    const tellNext = (): void => {
      for (const client of clients.splice(0, PER_TURN)) client.tellVersion(this.highest!);
      if (clients.length > 0) portablePlatform.yield(tellNext);
    };
    tellNext();
  }
}
