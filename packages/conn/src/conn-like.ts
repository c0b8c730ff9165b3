import type { NextWriterOptions } from './call-options.ts';
import type { Conn } from './conn.ts';
import type { MessageWriter } from './connection/message-writer.ts';
import type { InternalsOfConn } from './internals-of-conn.ts';
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
const METHODS = [
  'send',
  'writeMessage',
  'receive',
  'close',
  'terminate',
  Symbol.asyncIterator,
] as const;

export function isConnLike(value: unknown): value is ConnLike {
  const conn = (value ?? {}) as Partial<ConnLike>;
  return METHODS.every((name) => typeof conn[name] === 'function');
}

/** Names of the internals that {@link internalsOf} has for every ConnLike, even for the application's own. */
type Common =
  | 'failure'
  | 'closeTimeout'
  | 'closed'
  | 'closeAfterError'
  | 'untilWritable'
  | 'sendWaiting';

/** The calls of the library to a {@link ConnLike}. Only a `Conn` has all of them. */
export type ConnInternals = Pick<InternalsOfConn<Conn>, Common> &
  Partial<InternalsOfConn<Conn>> & {
    /** Only in a page: until `wake`, the option `alive` asks no question. */
    sleep?(): void;
  };

/**
 * The internals under a name that no user chooses by accident. Each class has the name as a literal,
 * because esbuild cannot drop an unused class with a computed name.
 */
type WithInternals = { readonly '@ws/internals'?: ConnInternals };

/** The default `closeTimeout` of a connection, in ms. */
const CLOSE_TIMEOUT = 5_000;
/** Close codes as plain numbers, so that a page with this file does not load the codec. */
const NORMAL_CLOSURE = 1000;
const INTERNAL_SERVER_ERR = 1011;

/** Returns the internals of `conn`. Those of an application's ConnLike call its public methods. */
export function internalsOf(conn: Conn): InternalsOfConn<Conn>;
export function internalsOf(conn: ConnLike): ConnInternals;
export function internalsOf(conn: ConnLike): ConnInternals {
  return (conn as WithInternals)['@ws/internals'] ?? publicInternals(conn);
}

function publicInternals(conn: ConnLike): ConnInternals {
  return {
    failure: undefined,
    closeTimeout: CLOSE_TIMEOUT,
    get closed() {
      return conn.closed;
    },
    // A WebSocket of a browser refuses to send 1011.
    closeAfterError: () => conn.close(INTERNAL_SERVER_ERR).catch(() => conn.close(NORMAL_CLOSURE)),
    untilWritable: () => undefined,
    sendWaiting: async ({ type, data }) => conn.writeMessage(type, data),
  };
}
