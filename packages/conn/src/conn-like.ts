import type { NextWriterOptions } from './call-options.ts';
import type { Conn } from './conn.ts';
import type { MessageWriter } from './connection/message-writer.ts';
import type { MessageReader } from './read/message-reader.ts';
import type { WaitOptions } from './time/wait.ts';

/** The methods of a {@link MessageReader}. */
export type MessageReaderLike = Pick<
  MessageReader,
  'type' | 'read' | 'readable' | 'bytes' | 'text' | 'json' | typeof Symbol.asyncIterator
>;

/** The methods of a {@link MessageWriter}. */
export type MessageWriterLike = Pick<
  MessageWriter,
  'write' | 'close' | 'abort' | 'writable' | typeof Symbol.asyncDispose
>;

/**
 * The common part of a {@link Conn} and a `BrowserConn` of `@ws/browser`. Code that takes a
 * ConnLike runs in Node and in pages.
 *
 * @typeParam Data - The type of `data`.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- code that ignores `data` names no type
export type ConnLike<Data = any> = Pick<
  Conn<Data>,
  | 'data'
  | 'role'
  | 'state'
  | 'subprotocol'
  | 'extensions'
  | 'closed'
  | 'bufferedAmount'
  | 'stats'
  | 'readMessage'
  | 'readJSON'
  | 'receive'
  | 'discardReads'
  | 'send'
  | 'writeMessage'
  | 'writeJSON'
  | 'writePreparedMessage'
  | 'setReadLimit'
  | 'setReadDeadline'
  | 'setWriteDeadline'
  | 'close'
  | 'terminate'
  | typeof Symbol.asyncIterator
  | typeof Symbol.asyncDispose
> & {
  /** As `Conn.nextReader`. */
  nextReader(options?: WaitOptions): Promise<MessageReaderLike>;
  /** As `Conn.nextWriter`. */
  nextWriter(type: number, options?: NextWriterOptions): Promise<MessageWriterLike>;
};

/** The methods of a {@link ConnLike} that the library calls. */
const METHODS = ['send', 'writeMessage', 'receive', 'close', Symbol.asyncIterator] as const;

export function isConnLike(value: unknown): value is ConnLike {
  const conn = (value ?? {}) as Partial<ConnLike>;
  return METHODS.every((name) => typeof conn[name] === 'function');
}
