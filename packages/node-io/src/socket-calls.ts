import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

// Some streams throw from the calls of a socket: `setNoDelay` of the socket of an HTTP/2 session. In
// a listener that error would end the process.

/** Methods that only some streams have. */
type Setter = 'setNoDelay' | 'setTimeout';

/** Calls a method of a socket where the stream has it and allows it. */
export function callIfAllowed(stream: Duplex, name: Setter, value: boolean | number): void {
  try {
    const setter = (stream as Partial<Record<Setter, unknown>>)[name];
    if (typeof setter === 'function') setter.call(stream, value);
  } catch {
    // The call only tunes a socket.
  }
}

/** Returns the address of the peer, or of this end; undefined for a stream without one. */
export function addressOf(
  stream: Duplex,
  end: 'remoteAddress' | 'localAddress',
): string | undefined {
  try {
    return (stream as Partial<Socket>)[end];
  } catch {
    return undefined;
  }
}

/** Returns an address as text; undefined for a stream without one. */
export function hostPort(host: string | undefined, port: number | undefined): string | undefined {
  if (host === undefined || port === undefined) return undefined;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
