import { isIPv6, type Socket } from 'node:net';
import { addressOf, ipv6Groups } from '@ws/node-io/internal';
import { HandshakeError, quoted } from '../errors.ts';

/** Limits of an Upgrader; `Infinity` for no bound. */
export type LimitValues = Readonly<
  Record<'maxHandshakes' | 'maxConnections' | 'maxConnectionsPerAddress', number>
>;

/** How many each client has, by its group: see {@link addressGroup}. */
type Counts = Map<string, number>;

/** @returns false, without a change, when the client has `max`. */
function addTo(counts: Counts, group: string, max: number): boolean {
  const others = counts.get(group) ?? 0;
  if (others >= max) return false;
  counts.set(group, others + 1);
  return true;
}

function removeFrom(counts: Counts, group: string): void {
  const others = counts.get(group)! - 1;
  if (others > 0) counts.set(group, others);
  else counts.delete(group);
}

/** Counts handshakes and connections. */
export class Limits {
  /** Pending handshakes. */
  handshakes = 0;
  /** Open connections and pending handshakes. */
  connections = 0;
  /** {@link connections} of each client. */
  readonly byAddress: Counts = new Map();
  /** Whether a connection keeps its reservation. */
  readonly countConnections: boolean;
  readonly #max: LimitValues;

  constructor(max: LimitValues) {
    this.#max = max;
    this.countConnections = Math.min(max.maxConnections, max.maxConnectionsPerAddress) < Infinity;
  }

  /**
   * @param address - The client's address; undefined when the client is not counted.
   * @throws HandshakeError 503 or 429 at a limit.
   */
  reserve(address: string | undefined): Reservation {
    const max = this.#max;
    if (this.handshakes >= max.maxHandshakes) throw tooMany('handshakes', 'maxHandshakes', max);
    if (this.connections >= max.maxConnections) throw tooMany('connections', 'maxConnections', max);
    const isCounted = address !== undefined && max.maxConnectionsPerAddress !== Infinity;
    const group = isCounted ? addressGroup(address) : undefined;
    if (group !== undefined && !addTo(this.byAddress, group, max.maxConnectionsPerAddress)) {
      throw tooManyFrom(group, max.maxConnectionsPerAddress);
    }
    this.handshakes++;
    this.connections++;
    return new Reservation(this, group);
  }
}

function tooMany(
  what: string,
  option: 'maxHandshakes' | 'maxConnections',
  max: LimitValues,
): HandshakeError {
  const message = `too many ${what}: ${max[option]} is the most; raise ${option} to admit more`;
  return new HandshakeError(503, message, { body: `too many ${what}\n` });
}

function tooManyFrom(group: string, max: number): HandshakeError {
  const cure = 'raise maxConnectionsPerAddress, or set trustProxy behind a proxy';
  const message = `too many connections from ${quoted(group)}: ${max} is the most; ${cure}`;
  return new HandshakeError(429, message, { body: 'too many connections from this address\n' });
}

/**
 * Counts one handshake, and then its connection, against the limits. It is made before the first
 * check of the request.
 */
export class Reservation {
  readonly #limits: Limits;
  /** The group that counts as one client; undefined when the client is not counted. */
  readonly #group: string | undefined;
  #counts: 'as handshake' | 'as connection' | 'no more' = 'as handshake';

  constructor(limits: Limits, group: string | undefined) {
    this.#limits = limits;
    this.#group = group;
  }

  /** The connection is open: it no longer counts as a handshake. */
  opened(): void {
    if (this.#counts !== 'as handshake') return;
    this.#counts = 'as connection';
    this.#limits.handshakes--;
  }

  /** The connection has ended, there will be none, or open connections have no bound. */
  giveBack(): void {
    if (this.#counts === 'no more') return;
    if (this.#counts === 'as handshake') this.#limits.handshakes--;
    this.#counts = 'no more';
    this.#limits.connections--;
    if (this.#group !== undefined) removeFrom(this.#limits.byAddress, this.#group);
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
  readonly #byAddress: Counts = new Map();

  constructor(maxConnectionsPerAddress: number) {
    this.#max = maxConnectionsPerAddress + SPARE_SOCKETS_PER_ADDRESS;
  }

  /** Counts a socket until it closes. @returns false when its client has too many. */
  add(socket: Socket): boolean {
    const remoteAddress = addressOf(socket, 'remoteAddress');
    if (remoteAddress === undefined) return true;
    const group = addressGroup(remoteAddress);
    if (!addTo(this.#byAddress, group, this.#max)) return false;
    socket.once('close', () => removeFrom(this.#byAddress, group));
    return true;
  }
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
