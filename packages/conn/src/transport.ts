import { kind } from './validate.ts';

/**
 * Receives the bytes and events of a {@link Transport}: a connection implements it. The methods are
 * synchronous and never throw.
 */
export interface TransportSink {
  /**
   * Bytes arrived.
   *
   * @param chunk - Lent for this call. The connection may change these bytes, and keeps only copies.
   * @param end - Index after the last byte: only `chunk[0, end)` has arrived. With `end`, a transport
   *   lends a part of its buffer without a view. Default: `chunk.length`.
   */
  data(chunk: Uint8Array, end?: number): void;
  /**
   * Called within `data`, when other code has overwritten `chunk` before `data` returned. The
   * connection stops reading `chunk`, and fails with close code 1011 and `error`. Most transports
   * never call this method.
   */
  overwritten?(error: Error): void;
  /** The transport is below its high-water mark again, after a `write` that returned false. */
  drain(): void;
  /** The peer has ended its side (a FIN). Writes are still possible. */
  end(): void;
  /**
   * The transport can send nothing more, although bytes may still arrive: it counts later writes as
   * unsent. The connection destroys it after `closeTimeout` in which no byte arrived and no message was
   * read. Most transports never call this method. A transport closes at once for a sink without it.
   */
  writesFailed?(): void;
  /** The transport is closed, after `end`, `destroy` or a fault. Called exactly once, last. */
  close(error?: Error): void;
}

/**
 * A stream of bytes in both directions, below a `Conn`. Implement this interface for your runtime.
 * `transportContract` in `tests/contracts` checks the rules. No method throws: the transport reports
 * an error by `sink.close`.
 */
export interface Transport {
  /**
   * Starts to deliver bytes to `sink`. Called once, before all other methods. The transport
   * delivers nothing before this call has returned.
   */
  start(sink: TransportSink): void;
  /**
   * Sends bytes after all earlier writes. After `end`, `destroy` or `sink.close`, only calls
   * `release`.
   *
   * @param chunk - Borrowed until `release` is called. The transport never changes or detaches it.
   *   Other transports may get the same bytes. `chunk` may be a Buffer over memory that connections
   *   share: `slice()` of a Buffer copies nothing, and `chunk.buffer` contains bytes of other
   *   connections. To keep or post the bytes, copy them with `new Uint8Array(chunk)`.
   * @param release - Called exactly once, when the transport no longer needs `chunk`, also when it
   *   closes with unsent bytes. The call may come within `write`.
   * @returns False when the transport is above its high-water mark. It accepts the bytes all the
   *   same, and calls `sink.drain()` later.
   */
  write(chunk: Uint8Array, release?: () => void): boolean;
  /** Writes between `cork` and `uncork` may be sent as one. */
  cork?(): void;
  /** Sends the writes since `cork`. */
  uncork?(): void;
  /** Asks for no more `data` until `resume`. Bytes under way may still be delivered. */
  pause(): void;
  /** Asks for `data` again. */
  resume(): void;
  /** Ends our side after all writes (a FIN). */
  end(): void;
  /** Ends both directions at once. `sink.close` follows, with `error` if there was one. */
  destroy(error?: Error): void;
  /** Written bytes that the operating system does not have yet. */
  readonly bufferedAmount: number;
  /**
   * Bound of the bytes that the operating systems of both ends buffer on the way to the peer. The
   * heartbeat gives a slow peer time to read that many bytes. Default: 0.
   */
  readonly inTransit?: number | undefined;
  /**
   * Time in ms to wait for the peer's `end` after the closing handshake, once all bytes are sent.
   * For peers that may never end their side, as on a stream of HTTP/2. Default: the rest of
   * `closeTimeout`.
   */
  readonly endTimeout?: number | undefined;
  /** The address of this end: `host:port`, or a path. */
  readonly localAddr?: string | undefined;
  /** The address of the peer: `host:port`, or a path. */
  readonly remoteAddr?: string | undefined;
  /** The stream of the platform, for example a `net.Socket`. Writing to it corrupts the data. */
  readonly underlying?: unknown;
}

const METHODS: readonly (keyof Transport)[] = [
  'start',
  'write',
  'pause',
  'resume',
  'end',
  'destroy',
];

/**
 * Checks the first argument of `new Conn`.
 *
 * @throws TypeError that says how to make a transport of a socket or of streams.
 */
export function checkTransport(transport: unknown): void {
  const given = Object(transport) as Partial<Record<string, unknown>>;
  // A loop without a closure: each connection runs this check.
  for (let i = 0; i < METHODS.length; i++) {
    const name = METHODS[i]!;
    if (typeof given[name] === 'function') continue;
    throw new TypeError(
      `new Conn: expected a Transport, got ${className(transport)}; ${adviceFor(given, name)}`,
    );
  }
}

/** For example `Socket`: most objects of Node have a constructor, but no `Symbol.toStringTag`. */
function className(value: unknown): string {
  const tag = kind(value);
  const { name } = Object(value).constructor ?? {};
  return tag === 'Object' && typeof name === 'string' && name !== '' ? name : tag;
}

function adviceFor(given: Partial<Record<string, unknown>>, missing: string): string {
  if (typeof given['pipe'] === 'function' && typeof given['write'] === 'function') {
    return 'after a handshake, socketTransport(socket) of @ws/node-io makes one of a socket; serve and dial do both, and Dialer.handshake for an open stream';
  }
  if (given['readable'] !== undefined && given['writable'] !== undefined) {
    return 'streamTransport({ readable, writable }) makes one of two streams';
  }
  if (typeof given['send'] === 'function') {
    return 'a WebSocket does the work of a Conn itself: dial of @ws/browser opens one';
  }
  return `it has no method ${missing}`;
}
