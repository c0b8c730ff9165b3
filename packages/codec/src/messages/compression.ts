import type { DeflateLimits, DeflateParameters } from '../handshake/deflate-negotiation.ts';
import type { Role } from '../protocol.ts';
import type { Extension } from './extension.ts';

/** How one end compresses: the option `compression` with all defaults. `Infinity` means no bound. */
export interface Compression {
  readonly mode: 'shared' | 'takeover';
  /** -2 to 9. */
  readonly level: number;
  /** In bytes. */
  readonly threshold: number;
  /** 8 to 15; undefined when the option is absent. */
  readonly serverMaxWindowBits: number | undefined;
  /** 8 to 15; undefined when the option is absent. */
  readonly clientMaxWindowBits: number | undefined;
  /** In bytes. */
  readonly sendHistory: number;
  readonly takeoverEngines: number;
  /** In bytes. */
  readonly asyncDeflateThreshold: number;
}

/** permessage-deflate (RFC 7692). `perMessageDeflate` of `@ws/deflate` makes it of engines. */
export interface MessageDeflate {
  /**
   * What one end allows in the handshake.
   *
   * @param readLimit - In bytes; Infinity for no bound.
   * @returns The limits for `offerDeflate` and `negotiateDeflate`, or the reason why this end does
   *   not compress.
   */
  limits(compression: Compression, role: Role, readLimit: number): DeflateLimits | string;
  /** Creates the extension of one connection, with the parameters that both ends agreed on. */
  extension(
    agreed: DeflateParameters,
    compression: Compression,
    role: Role,
    runtime: ExtensionRuntime,
  ): DeflateExtension;
}

/** permessage-deflate, as a connection uses it. */
export type DeflateExtension = Extension & {
  /** Bytes of memory held for the histories of both directions. */
  readonly historyBytes: number;
  readonly compressor: {
    /** -2 to 9. */
    level: number;
    /** Whether messages without their own option `compress` are compressed. */
    enabled: boolean;
  };
};

/** The services of the runtime that an extension with engines needs. */
export interface ExtensionRuntime {
  /** The time of a monotonic clock in ms. */
  now(): number;
  /** Runs `callback` in a later turn of the event loop, after pending I/O. It never throws. */
  yield(callback: () => void): void;
  /** Calls `entry.fire()` after `ms` milliseconds, unless `entry` is set already. */
  fireLater(entry: { slot: number | undefined; fire(): void }, ms: number): void;
  /** Calls `call` in an async context that no other connection shares. */
  inOwnContext(call: () => void): void;
}
