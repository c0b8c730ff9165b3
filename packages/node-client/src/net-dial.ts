import type { Duplex } from 'node:stream';
import { type Transport, TransportError } from '@ws/conn';
import { hasTransport } from '@ws/node-io';
import type { Bounds } from './bounds.ts';
import { Guard } from './guard.ts';
import { TransportDuplex } from './transport-duplex.ts';
import type { DialAddress } from './url.ts';

/**
 * Opens a stream to `address`.
 *
 * @param address - `net.connect(address)` takes it as it is; as a string it reads `host:port`.
 * @param context - `signal` aborts when the dial is given up; a stream that comes after that is destroyed.
 * @returns A Duplex, open or still connecting, or a Transport that was not started. It belongs to the dialer, which
 *   destroys it when the handshake fails.
 */
export type NetDial = (
  address: DialAddress,
  context: { readonly signal: AbortSignal },
) => Duplex | Transport | PromiseLike<Duplex | Transport>;

/** Calls the caller's way of opening a stream. What it opens too late is destroyed. */
export async function callDial(
  name: string,
  dial: NetDial,
  { address, label }: { readonly address: DialAddress; readonly label: string },
  bounds: Bounds,
): Promise<Guard> {
  // Called from a microtask: the stream that it returns then gets its guard before any event of its can fire.
  const dialed = Promise.resolve()
    .then(() => dial(address, { signal: bounds.signal }))
    .then((stream) => guarded(name, stream));
  try {
    return await bounds.race(dialed);
  } catch (error) {
    if (bounds.signal.aborted) {
      void dialed.then(
        (late) => late.drop(),
        () => {},
      );
    } else if (!(error instanceof NoStream)) {
      throw new TransportError(`${name} to ${label} failed`, { cause: error });
    }
    throw error;
  }
}

/** What a dial has had. A second one would write into the first one's connection. */
const used = new WeakSet<Duplex | Transport>();

/**
 * A stream of the caller's under guard, as node:http can use it.
 *
 * @throws NoStream when it is no stream of bytes, and is destroyed then; or when it is in use, and is left alone.
 */
function guarded(name: string, stream: Duplex | Transport): Guard {
  const transport = isTransport(stream);
  if (!transport && !isDuplex(stream)) {
    throw new NoStream(`${name}: expected a Duplex or a Transport`);
  }
  if (used.has(stream) || (!transport && hasTransport(stream))) {
    throw new NoStream(`${name}: the stream is in use; a connection needs one of its own`);
  }
  used.add(stream);
  if (transport) return new Guard(started(stream));
  const line = new Guard(stream);
  if (stream.readableObjectMode || stream.readableEncoding !== null) {
    line.drop();
    throw new NoStream(`${name}: the stream has an encoding or object mode set and reads no bytes`);
  }
  // Whoever corked it gave it away before they could uncork it.
  while (stream.writableCorked > 0) stream.uncork();
  return line;
}

function started(transport: Transport): TransportDuplex {
  try {
    return new TransportDuplex(transport);
  } catch (error) {
    transport.destroy();
    throw error;
  }
}

/**
 * Takes a stream that is open.
 *
 * @throws TypeError when it is no stream of bytes or in use, TransportError when it is a transport that does not start.
 */
export function taken(name: string, stream: Duplex | Transport): Guard {
  try {
    return guarded(name, stream);
  } catch (cause) {
    if (cause instanceof NoStream) throw cause;
    throw new TransportError(`${name}: the transport did not start`, { cause });
  }
}

/** What was given is no stream of bytes, or not free. */
class NoStream extends TypeError {
  override get name(): string {
    return 'TypeError';
  }
}

function isDuplex(stream: unknown): stream is Duplex {
  const duplex = stream as Partial<Duplex> | null | undefined;
  // A Writable has a `pipe`, too.
  return typeof duplex?.read === 'function' && typeof duplex.write === 'function';
}

function isTransport(stream: unknown): stream is Transport {
  const transport = stream as Partial<Transport> | null | undefined;
  return (
    typeof transport?.start === 'function' &&
    typeof transport.write === 'function' &&
    !isDuplex(stream)
  );
}
