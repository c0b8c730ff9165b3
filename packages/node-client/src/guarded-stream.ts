import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Transport } from '@ws/conn';
import { isConnLike, kind } from '@ws/conn/internal';
import { hasTransport } from '@ws/node-io';
import { asError, cutStream, isHttp2Stream, TransportDuplex } from '@ws/node-io/internal';
import type { DialScope } from './dial-scope.ts';
import { dialError } from './errors.ts';
import type { DialAddress } from './url.ts';

/**
 * Checks that a stream is open. On a stream that has ended, a request and node:tls would wait
 * forever for its events.
 *
 * @throws TransportError when it is not open.
 */
export function checkOpen(stream: Duplex): void {
  const over = stream.destroyed || stream.writableEnded || stream.readableEnded;
  // A stream with `autoDestroy: false` may have failed without being destroyed.
  if (!over && !stream.errored) return;
  throw dialError('the stream is not open', stream.errored ?? undefined);
}

/**
 * Guards a stream from its creation until a Conn owns it or until it closes: an 'error' event
 * without a listener would end the process. Each stage adds its own listeners; this class ensures
 * that there is always at least one.
 */
export class GuardedStream {
  readonly stream: Duplex;
  /** The first error seen. */
  error: Error | undefined;
  readonly #unguardWrites: () => void;

  constructor(stream: Duplex) {
    this.stream = stream;
    this.#unguardWrites =
      stream instanceof Socket || isHttp2Stream(stream) ? () => {} : guardWrites(stream);
    stream.on('error', this.#onError);
    stream.once('close', this.unguard);
  }

  readonly #onError = (error: Error): void => {
    this.error ??= error;
  };

  /** Ends the guard. The new owner must listen for 'error'. */
  readonly unguard = (): void => {
    this.stream.off('error', this.#onError);
    this.stream.off('close', this.unguard);
    this.#unguardWrites();
  };

  /** Destroys the stream after the current call of Node has returned. */
  fail(error: Error): void {
    this.error ??= error;
    process.nextTick(() => this.stream.destroy(error));
  }

  /** Destroys the stream. Its late errors are still caught. */
  destroy(): void {
    cutStream(this.stream);
  }
}

/**
 * Turns an error that `_write` or `_writev` of a foreign stream throws into the stream's error.
 * node:tls calls them from event handlers, where a throw ends the process.
 *
 * @returns A function that restores the stream's own methods.
 */
function guardWrites(stream: Duplex): () => void {
  const undo = (['_write', '_writev'] as const).map((name) => {
    const own = Object.getOwnPropertyDescriptor(stream, name);
    const write = stream[name] as ((...args: unknown[]) => void) | null | undefined;
    if (typeof write !== 'function') return () => {};
    const guarded = (...args: unknown[]): void => {
      try {
        write.apply(stream, args);
      } catch (error) {
        stream.destroy(asError(error, name));
      }
    };
    Object.defineProperty(stream, name, { value: guarded, configurable: true, writable: true });
    return () => {
      if (own === undefined) Reflect.deleteProperty(stream, name);
      else Object.defineProperty(stream, name, own);
    };
  });
  return () => {
    for (const each of undo) each();
  };
}

/**
 * Opens a stream to `address`.
 *
 * @param address - Pass it to `net.connect`; as a string it reads `host:port`.
 * @param context - `signal` aborts when the dial is cancelled or times out. A stream returned after
 *   that is destroyed.
 * @returns A Duplex, open or still connecting, or a Transport that is not started. It belongs to
 *   the dialer, which destroys it when the handshake fails.
 * @throws The dial rejects with a TransportError that has the error as `cause`.
 */
export type NetDial = (
  address: DialAddress,
  context: { readonly signal: AbortSignal },
) => Duplex | Transport | PromiseLike<Duplex | Transport>;

/**
 * Calls the caller's function to open a stream. A stream that it returns after an abort is
 * destroyed.
 */
export async function callNetDial(
  name: string,
  dial: NetDial,
  { address, label }: { readonly address: DialAddress; readonly label: string },
  scope: DialScope,
): Promise<GuardedStream> {
  // Called from a microtask, so the returned stream gets its guard before it can emit an event.
  const dialed = Promise.resolve()
    .then(() => dial(address, { signal: scope.makeSignal() }))
    .then((stream) => guardStream(name, stream));
  try {
    return await scope.race(dialed);
  } catch (error) {
    if (scope.isAborted) {
      void dialed.then(
        (late) => late.destroy(),
        () => {},
      );
    } else if (!(error instanceof UnusableStreamError)) {
      throw dialError(`${name} to ${label} failed`, error);
    }
    throw error;
  }
}

/** Streams that a dial has used. A second dial would write into the first one's connection. */
const adoptedStreams = new WeakSet<Duplex | Transport>();

/**
 * Guards the caller's stream, and prepares it for a request.
 *
 * @throws UnusableStreamError for a stream that is not a stream of bytes, which is destroyed if it
 *   is a Duplex; or for a stream that is already in use, which is left alone.
 */
function guardStream(name: string, stream: Duplex | Transport): GuardedStream {
  const transport = isTransport(stream);
  if (!transport && !isDuplex(stream)) {
    const got = kind(stream);
    throw new UnusableStreamError(`${name}: expected a Duplex or a Transport, got ${got}`);
  }
  if (transport) checkTransport(name, stream);
  if (adoptedStreams.has(stream) || (!transport && hasTransport(stream))) {
    throw new UnusableStreamError(
      `${name}: the stream is already in use; open a new one for each connection`,
    );
  }
  adoptedStreams.add(stream);
  if (transport) return new GuardedStream(startTransport(stream));
  const guarded = new GuardedStream(stream);
  if (stream.readableObjectMode || stream.readableEncoding !== null) {
    guarded.destroy();
    throw new UnusableStreamError(
      `${name}: the stream has an encoding or object mode set and reads no bytes`,
    );
  }
  // A corked stream would hold back the request.
  while (stream.writableCorked > 0) stream.uncork();
  return guarded;
}

function startTransport(transport: Transport): TransportDuplex {
  const duplex = new TransportDuplex(transport);
  try {
    duplex.start();
  } catch (error) {
    // Later errors of the stream have no listener yet. The dial rejects with the first one.
    duplex.on('error', () => {});
    duplex.destroy();
    throw error;
  }
  return duplex;
}

/**
 * Takes over an open stream of the caller.
 *
 * @throws TypeError when it is not a stream of bytes or is already in use; TransportError for a
 *   transport that does not start.
 */
export function adopt(name: string, stream: Duplex | Transport): GuardedStream {
  try {
    return guardStream(name, stream);
  } catch (cause) {
    if (cause instanceof UnusableStreamError) throw cause;
    throw dialError(`${name}: the transport did not start`, cause);
  }
}

/** A value that is not a stream of bytes, or a stream that is in use. */
class UnusableStreamError extends TypeError {
  override get name(): string {
    return 'TypeError';
  }
}

function isDuplex(stream: unknown): stream is Duplex {
  // A Conn has functions of all these names, which throw.
  if (isConnLike(stream)) return false;
  // Not `pipe`: a Writable has it too.
  return (['read', 'write', 'on', 'once', 'off', 'destroy'] as const).every((name) => {
    return typeof (stream as Partial<Duplex> | null | undefined)?.[name] === 'function';
  });
}

/** @throws UnusableStreamError that names the functions that it lacks. */
function checkTransport(name: string, transport: Transport): void {
  const missing = (['pause', 'resume', 'end', 'destroy'] as const).filter((method) => {
    return typeof transport[method] !== 'function';
  });
  if (missing.length === 0) return;
  throw new UnusableStreamError(`${name}: the Transport has no function ${missing.join(', ')}`);
}

function isTransport(stream: unknown): stream is Transport {
  const transport = stream as Partial<Transport> | null | undefined;
  return (
    typeof transport?.start === 'function' &&
    typeof transport.write === 'function' &&
    !isDuplex(stream)
  );
}
