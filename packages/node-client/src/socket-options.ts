import { isIP, type LookupFunction } from 'node:net';
import { assertOption, typeName } from '@ws/node-io/internal';
import { guardedLookup } from './tls/tls-callbacks.ts';

/**
 * Options of `net.connect` for the socket that the dialer opens, to the server or to a proxy. They
 * have no effect on Unix sockets.
 */
export interface SocketOptions {
  /**
   * Finds the addresses of a host name. Not called for an IP address. An error that it throws or
   * passes on is the cause of a TransportError. Default: `dns.lookup`.
   */
  readonly lookup?: LookupFunction | undefined;
  /** The IP version of the addresses: 4, 6, or 0 for both. Default: 0. */
  readonly family?: 0 | 4 | 6 | undefined;
  /** The IP address to connect from. Default: chosen by the system. */
  readonly localAddress?: string | undefined;
}

/** The names of {@link SocketOptions}. */
export const SOCKET_OPTION_NAMES: readonly (keyof SocketOptions)[] = [
  'lookup',
  'family',
  'localAddress',
];

/** @throws TypeError or RangeError that names the option. */
export function checkSocketOptions(
  options: SocketOptions & { readonly netDial?: unknown },
): SocketOptions {
  const { lookup, family, localAddress } = options;
  if (lookup !== undefined) {
    assertOption('lookup', lookup, typeof lookup === 'function', 'a function');
  }
  if (family !== undefined && ![0, 4, 6].includes(family)) {
    throw new RangeError(`family: expected 0, 4 or 6, got ${String(family)}`);
  }
  if (localAddress !== undefined && isIP(localAddress) === 0) {
    const got = typeof localAddress === 'string' ? localAddress : typeName(localAddress);
    throw new TypeError(`localAddress: expected an IP address, got ${got}`);
  }
  const unused = SOCKET_OPTION_NAMES.find((name) => options[name] !== undefined);
  if (options.netDial !== undefined && unused !== undefined) {
    throw new TypeError(`${unused}: no effect with netDial, which opens the stream; use it there`);
  }
  return {
    ...(lookup !== undefined && { lookup }),
    ...(family !== undefined && { family }),
    ...(localAddress !== undefined && { localAddress }),
  };
}

/** Returns the options for one socket. `fail` gets the errors of `lookup`. */
export function guardedSocketOptions(
  { lookup, ...others }: SocketOptions,
  fail: (error: Error) => void,
): SocketOptions {
  return lookup === undefined
    ? others
    : { ...others, lookup: guardedLookup('lookup', lookup, fail) };
}
