import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import { HandshakeError, serverFault } from './errors.ts';

/** Says which client a request comes from; undefined: it is not counted. */
export type ClientAddress = (req: IncomingMessage) => string | undefined;

/** How many at a time; `Infinity` for no bound. */
export interface LimitValues {
  readonly maxHandshakes: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  readonly clientAddress: ClientAddress;
}

/** Counts handshakes and connections. */
export class Limits {
  /** Handshakes that are pending. */
  handshakes = 0;
  /** Connections, and handshakes that may become one. */
  connections = 0;
  /** The same by client. */
  readonly byAddress: Map<string, number> = new Map();
  readonly #max: LimitValues;

  constructor(max: LimitValues) {
    this.#max = max;
  }

  /** Whether a connection needs its place once its handshake is over. */
  get countConnections(): boolean {
    return Math.min(this.#max.maxConnections, this.#max.maxConnectionsPerAddress) < Infinity;
  }

  /** @throws HandshakeError 503 or 429 when there is no place, 500 when `clientAddress` throws or gives no string. */
  take(req: IncomingMessage): Slot {
    const max = this.#max;
    if (this.handshakes >= max.maxHandshakes) throw new HandshakeError(503, 'too many handshakes');
    if (this.connections >= max.maxConnections)
      throw new HandshakeError(503, 'too many connections');
    const address = this.#addressOf(req);
    const others = address === undefined ? 0 : (this.byAddress.get(address) ?? 0);
    if (others >= max.maxConnectionsPerAddress) {
      throw new HandshakeError(429, 'too many connections from this address');
    }
    this.handshakes++;
    this.connections++;
    if (address !== undefined) this.byAddress.set(address, others + 1);
    return new Slot(this, address);
  }

  #addressOf(req: IncomingMessage): string | undefined {
    if (this.#max.maxConnectionsPerAddress === Infinity) return undefined;
    try {
      const address: unknown = this.#max.clientAddress(req);
      if (address === undefined) return undefined;
      if (typeof address === 'string') return addressGroup(address);
      throw new TypeError(`clientAddress: expected a string or undefined, got ${typeof address}`);
    } catch (cause) {
      throw serverFault('clientAddress', cause);
    }
  }
}

/** A handshake's place, taken before the first check, so that many pending ones cannot overrun a limit together. */
export class Slot {
  readonly #limits: Limits;
  readonly #address: string | undefined;
  #pending = true;
  #taken = true;

  constructor(limits: Limits, address: string | undefined) {
    this.#limits = limits;
    this.#address = address;
  }

  /** The handshake is over; the place stays taken by the connection. */
  settled(): void {
    if (this.#pending) this.#limits.handshakes--;
    this.#pending = false;
  }

  /** The client is gone before its answer. */
  leave(): void {
    this.settled();
    this.free();
  }

  /** The connection is over, or there never was one. */
  free(): void {
    if (!this.#taken) return;
    this.#taken = false;
    const { byAddress } = this.#limits;
    this.#limits.connections--;
    if (this.#address === undefined) return;
    const others = byAddress.get(this.#address)! - 1;
    if (others > 0) byAddress.set(this.#address, others);
    else byAddress.delete(this.#address);
  }
}

/**
 * What counts as one client: an IPv4 address, also one mapped into IPv6, or an IPv6 /64, which is what one customer of
 * a provider has. Anything else, a user's name for example, stands for itself.
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

/** The eight 16-bit groups of a valid IPv6 address. */
function ipv6Groups(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const before = readGroups(head);
  if (tail === undefined) return before;
  const after = readGroups(tail);
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
}

function readGroups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return Number.parseInt(group, 16);
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}
