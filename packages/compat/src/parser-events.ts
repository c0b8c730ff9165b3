import type { FaultError } from './errors.ts';
import type { PerMessageDeflate } from './permessage-deflate.ts';
import type { BinaryType, RawData } from './received-message.ts';

/** The negotiated extensions by name. */
export type ActiveExtensions = Readonly<Record<string, PerMessageDeflate>>;

/** One object for all connections without an extension: it saves 56 bytes of each. */
export const NO_EXTENSIONS: ActiveExtensions = /* @__PURE__ */ Object.freeze({});

/** The receiver of the events of a {@link MessageParser}; `target` is its owner. */
export interface ParserEvents<T> {
  message(target: T, data: RawData, isBinary: boolean): void;
  ping(target: T, data: Buffer): void;
  pong(target: T, data: Buffer): void;
  /** A close frame came, after which the parser drops all input. */
  conclude(target: T, code: number, reason: Buffer): void;
  /** The peer broke a rule. The parser drops all further input. */
  fault(target: T, error: FaultError): void;
  /** Input that waited was handled: the socket may be read again. */
  drain(target: T): void;
  /** The input has ended and all of it was handled. */
  finish(target: T): void;
  /** Between these two calls, frames of the input are handled. */
  begin(target: T): void;
  end(target: T): void;
}

/** Options of {@link MessageParser}; 0 means no limit. */
export interface ParserOptions {
  allowSynchronousEvents?: boolean | undefined;
  binaryType?: BinaryType | undefined;
  extensions?: ActiveExtensions | undefined;
  isServer?: boolean | undefined;
  maxBufferedChunks?: number | undefined;
  maxFragments?: number | undefined;
  maxPayload?: number | undefined;
  skipUTF8Validation?: boolean | undefined;
}
