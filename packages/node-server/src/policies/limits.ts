import { isIPv6, type Socket } from 'node:net';
import type { Conn } from '@ws/conn';
import { limitRate } from '@ws/conn/internal';
import { addressOf, ipv6Groups } from '@ws/node-io/internal';
import type { AppRequest, HandlerContext } from '../conn-handler.ts';
import { type HandshakeError, serverFault, tryLater, unexpectedResult } from '../errors.ts';
import type { LimitPlan } from './limit-options.ts';
import { type Key, LimitedKeys } from './limited-keys.ts';
import { Pace, type PacePlan, type Place } from './pace.ts';

/** Limits of an Upgrader; `Infinity` for no bound. */
export interface LimitValues {
  readonly maxHandshakes: number;
  readonly maxConnections: number;
  readonly pace: PacePlan | undefined;
  readonly entries: readonly LimitPlan[];
}

/** The client of a request, for functions `by`. */
interface Client {
  readonly req: AppRequest;
  readonly address: string | undefined;
  readonly context: HandlerContext<unknown> | undefined;
}

const MAX_KEY_BYTES = 256;
const NO_KEYS: readonly Key[] = [];

/** Counts handshakes and connections. */
export class Limits {
  /** Pending handshakes. */
  handshakes = 0;
  /** Open connections, and handshakes that are pending or wait for their turn. */
  connections = 0;
  /** Handshakes that the entries have refused. */
  limited = 0;
  readonly pace: Pace | undefined;
  readonly byAddress: readonly LimitedKeys[];
  readonly byClient: readonly LimitedKeys[];
  readonly #max: LimitValues;
  /** The keys of the connections that have some. */
  readonly #held = new Map<object, Key | readonly Key[]>();

  /** @param closeOldest - Gets a connection for which there is no place any more. */
  constructor(max: LimitValues, closeOldest: (connection: object) => void) {
    this.#max = max;
    this.pace = max.pace && new Pace(max.pace);
    const keysOf = (entries: readonly LimitPlan[]): LimitedKeys[] =>
      entries.map((entry) => new LimitedKeys(entry, closeOldest));
    this.byAddress = keysOf(max.entries.filter(({ by }) => by === 'address'));
    this.byClient = keysOf(max.entries.filter(({ by }) => by !== 'address'));
  }

  /**
   * @param address - The client's address; undefined when the client is not counted.
   * @throws HandshakeError 503 at a limit.
   */
  reserve(address: string | undefined): Reservation {
    this.checkHandshakes();
    if (this.connections >= this.#max.maxConnections) {
      throw tooMany('connections', 'maxConnections', this.#max);
    }
    this.handshakes++;
    this.connections++;
    const isCounted = address !== undefined && this.byAddress.length > 0;
    return new Reservation(this, isCounted ? addressGroup(address) : undefined);
  }

  /** @throws HandshakeError 503 when too many are pending. */
  checkHandshakes(): void {
    if (this.handshakes < this.#max.maxHandshakes) return;
    throw tooMany('handshakes', 'maxHandshakes', this.#max);
  }

  /** From now on the connection holds these keys, until {@link closed}. */
  keepKeys(connection: object, keys: readonly Key[]): void {
    for (const { open } of keys) open?.add(connection);
    // No array for one key: it would cost 56 bytes.
    this.#held.set(connection, keys.length === 1 ? keys[0]! : keys);
  }

  /** A connection has closed. */
  closed(connection: object): void {
    this.connections--;
    const held = this.#held.get(connection);
    if (held === undefined) return;
    this.#held.delete(connection);
    for (const key of [held].flat()) key.plan.giveBack(key, connection);
  }
}

function tooMany(
  what: string,
  option: 'maxHandshakes' | 'maxConnections',
  max: LimitValues,
): HandshakeError {
  const message = `too many ${what}: ${max[option]} is the most; raise ${option} to admit more`;
  return tryLater(503, message, { body: `too many ${what}\n` });
}

/** Counts one handshake against the limits. It is made before the first check of the request. */
export class Reservation {
  readonly #limits: Limits;
  /** The group that counts as one client; undefined when the client is not counted. */
  readonly #group: string | undefined;
  #keys: readonly Key[] = NO_KEYS;
  #counts: 'as handshake' | 'as connection' | 'no more' = 'as handshake';
  /** In the queue of the pace. Meanwhile it does not count as a handshake. */
  #place: Place | undefined = undefined;

  constructor(limits: Limits, group: string | undefined) {
    this.#limits = limits;
    this.#group = group;
  }

  /** Gives the connection the rates that its keys share with others. */
  limitRate(conn: Conn): void {
    if (this.#keys === NO_KEYS) return;
    for (const key of this.#keys) {
      const { rate } = key.plan.limit;
      if (rate !== undefined) limitRate(conn, rate, key.rate);
    }
  }

  /** @throws HandshakeError 429 when the address has too many. */
  countAddress(): void {
    if (this.#group === undefined) return;
    for (const keys of this.#limits.byAddress) this.#count(keys, this.#group);
  }

  /**
   * Asks the functions `by`.
   *
   * @throws HandshakeError 429 when a key has too many; 500 when a function gives no key.
   */
  countClient(client: Client): void {
    const { byClient } = this.#limits;
    // No iterator: it would be an allocation of each handshake.
    if (byClient.length === 0) return;
    for (const keys of byClient) {
      const id = keyOf(keys.limit.by as (client: object) => unknown, client);
      if (id !== false) this.#count(keys, id);
    }
  }

  #count(keys: LimitedKeys, id: string | number): void {
    try {
      this.#keys = [...this.#keys, keys.count(id)];
    } catch (error) {
      this.#limits.limited++;
      throw error;
    }
  }

  /**
   * Begins the handshake at the pace of the server.
   *
   * @returns A promise when it has to wait for its turn, which rejects with HandshakeError 503.
   * @throws HandshakeError 503 when too many wait.
   */
  awaitTurn(): Promise<void> | undefined {
    this.#place = this.#limits.pace?.enter(this.#group);
    if (this.#place === undefined) return undefined;
    this.#limits.handshakes--;
    return this.#place.turn.promise;
  }

  /** @throws HandshakeError 503 when too many handshakes are pending at its turn. */
  turnCame(): void {
    this.#limits.checkHandshakes();
    this.#place = undefined;
    this.#limits.handshakes++;
  }

  /** It no longer counts as a handshake: the functions of the application have settled. */
  settled(): void {
    if (this.#counts !== 'as handshake') return;
    this.#counts = 'as connection';
    if (this.#place === undefined) this.#limits.handshakes--;
    else this.#limits.pace!.leave(this.#place);
  }

  /** The connection is open, and {@link Limits.closed} gives its places back. */
  opened(connection: object): void {
    this.settled();
    this.#counts = 'no more';
    if (this.#keys !== NO_KEYS) this.#limits.keepKeys(connection, this.#keys);
  }

  /** There will be no connection. */
  giveBack(): void {
    if (this.#counts === 'no more') return;
    this.settled();
    this.#counts = 'no more';
    this.#limits.connections--;
    if (this.#keys === NO_KEYS) return;
    for (const key of this.#keys) key.plan.giveBack(key, undefined);
  }
}

/** @throws HandshakeError 500 when `by` throws, and for a result that is no key. */
function keyOf(by: (client: object) => unknown, client: Client): string | number | false {
  try {
    const { req: request, context } = client;
    const id = by({ auth: context?.auth, address: client.address, request });
    if (id === false || Number.isSafeInteger(id)) return id as number | false;
    if (typeof id === 'string' && id !== '' && id.length <= MAX_KEY_BYTES) {
      if (Buffer.byteLength(id) <= MAX_KEY_BYTES) return id;
    }
    const expected = `a text of 1 to ${MAX_KEY_BYTES} bytes, a whole number or false`;
    throw unexpectedResult('by of limits', expected, id);
  } catch (cause) {
    throw serverFault('limits', cause);
  }
}

/**
 * Sockets of one client above its connections: for pages, and for requests that are refused with
 * 429.
 */
const SPARE_SOCKETS_PER_ADDRESS = 64;

/**
 * Bounds the sockets of each client of a server. {@link Limits} counts a client from its upgrade
 * request on, and sockets that send nothing never get there.
 */
export class SocketLimits {
  readonly #max: number;
  readonly #byAddress = new Map<string, number>();

  /** @param connections - Most connections of a client. */
  constructor(connections: number) {
    this.#max = connections + SPARE_SOCKETS_PER_ADDRESS;
  }

  /** Counts a socket until it closes. @returns false when its client has too many. */
  add(socket: Socket, group: string): boolean {
    const others = this.#byAddress.get(group) ?? 0;
    if (others >= this.#max) return false;
    this.#byAddress.set(group, others + 1);
    socket.once('close', () => {
      const rest = this.#byAddress.get(group)! - 1;
      if (rest > 0) this.#byAddress.set(group, rest);
      else this.#byAddress.delete(group);
    });
    return true;
  }
}

/** The group of the other end of a socket; undefined for a Unix socket, and after a reset. */
export function peerGroup(socket: Socket): string | undefined {
  const address = addressOf(socket, 'remoteAddress');
  return address === undefined ? undefined : addressGroup(address);
}

/**
 * Returns the group that counts as one client: an IPv4 address, also when mapped into IPv6, or an
 * IPv6 /64, which is what a provider assigns to one customer. Any other text is returned as it is.
 */
export function addressGroup(address: string): string {
  if (!isIPv6(address)) return address;
  const groups = ipv6Groups(address.replace(/%.*$/, ''));
  if (groups.slice(0, 6).join() === '0,0,0,0,0,65535') {
    const [high = 0, low = 0] = groups.slice(6);
    return [high >> 8, high & 255, low >> 8, low & 255].join('.');
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}
