import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import {
  type BinaryMessage,
  type BorrowedMessage,
  type BroadcastOptions,
  type BufferPool,
  broadcast,
  CloseError,
  type CloseHandler,
  type CloseInfo,
  type Conn,
  type ConnLike,
  type ConnOptions,
  type ConnSettings,
  type ConnState,
  type ConnStats,
  connPair,
  type DataType,
  isCloseError,
  JSONError,
  joinMessages,
  type Message,
  type MessageData,
  type MessageHandler,
  type MessageReader,
  type MessageWriter,
  type OwnedBytes,
  type PingPongHandler,
  type Platform,
  PreparedMessage,
  ProtocolError,
  ReadLimitError,
  type SchemaIssue,
  TextMessage,
  type Transport,
  type WebSocketError,
} from '../src/index.ts';

// Code that the compiler accepts, and code that it rejects. `misuse` is never called.

type Awaits<T> = T extends (...args: never[]) => Promise<infer R> ? R : never;

describe('ConnLike', () => {
  it('is a type of every Conn, without what a page lacks', () => {
    expectTypeOf<Conn>().toExtend<ConnLike>();
    expectTypeOf<Conn<number>>().toExtend<ConnLike<number>>();
    expectTypeOf<Conn<number>>().not.toExtend<ConnLike<string>>();
    expectTypeOf<ConnLike>().toExtend<AsyncIterable<Message> & AsyncDisposable>();
    expectTypeOf<ConnLike>().not.toHaveProperty('ping');
  });
});

describe('the types of reading', () => {
  it('match the results of each way to read', () => {
    expectTypeOf<Awaited<Conn['closed']>['error']>().toEqualTypeOf<Error | undefined>();
    expectTypeOf<Awaits<Conn['readMessage']>>().toEqualTypeOf<Message>();
    expectTypeOf<Awaits<Conn['nextReader']>>().toEqualTypeOf<MessageReader>();
    expectTypeOf<Awaits<Conn['receive']>>().toEqualTypeOf<CloseInfo>();
    expectTypeOf<Awaits<Conn['discardReads']>>().toEqualTypeOf<CloseInfo>();
    expectTypeOf<Conn>().toExtend<AsyncIterable<Message>>();
    expectTypeOf<MessageReader>().toExtend<AsyncIterable<OwnedBytes>>();
    expectTypeOf<ReturnType<MessageReader['readable']>>().toEqualTypeOf<
      ReadableStream<OwnedBytes>
    >();
    expectTypeOf<Awaits<MessageReader['read']>>().toEqualTypeOf<number>();
    expectTypeOf<Awaits<MessageReader['bytes']>>().toEqualTypeOf<OwnedBytes>();
    expectTypeOf<Awaits<MessageReader['text']>>().toEqualTypeOf<string>();
    expectTypeOf<Awaits<MessageReader['json']>>().toEqualTypeOf<unknown>();
    expectTypeOf(joinMessages).returns.toExtend<AsyncIterable<OwnedBytes>>();
  });

  it('distinguish messages by their type', () => {
    expectTypeOf<Message['type']>().toEqualTypeOf<DataType>();
    expectTypeOf<DataType>().toEqualTypeOf<1 | 2>();
    expectTypeOf<typeof TextMessage>().toEqualTypeOf<1>();
    expectTypeOf<typeof BinaryMessage>().toEqualTypeOf<2>();
    expectTypeOf<Message['data']>().toEqualTypeOf<OwnedBytes>();
    expectTypeOf<OwnedBytes>().toEqualTypeOf<Uint8Array<ArrayBuffer>>();
    expectTypeOf<Message['json']>().returns.toEqualTypeOf<unknown>();
    expectTypeOf<BorrowedMessage['copy']>().returns.toEqualTypeOf<Message>();
    expectTypeOf<BorrowedMessage>().not.toExtend<Message>();
  });

  it('of the issues of a JSONError are those of Standard Schema', () => {
    const error = new JSONError('x', [{ message: 'too small', path: ['a', { key: 0 }] }]);
    const answer = error.issues.map(({ path, message }) => ({
      message,
      path: path?.map((step) => (typeof step === 'object' ? step.key : step)).join('.'),
    }));
    expect(answer).toEqual([{ message: 'too small', path: 'a.0' }]);
    expectTypeOf(error.issues).toEqualTypeOf<readonly SchemaIssue[]>();
    // As a schema reports them.
    type Result = Awaited<ReturnType<z.ZodNumber['~standard']['validate']>>;
    expectTypeOf<NonNullable<Result['issues']>[number]>().toExtend<SchemaIssue>();
    expectTypeOf<SchemaIssue>().toExtend<NonNullable<Result['issues']>[number]>();
  });

  it('of a value are those that the caller names', async () => {
    const [client, server] = connPair();
    void client.writeJSON([5]);
    const named = await server.readJSON<number[]>();
    expectTypeOf(named).toEqualTypeOf<number[]>();
    void client.writeJSON(null);
    const unnamed = await server.readJSON({});
    expectTypeOf(unnamed).toEqualTypeOf<unknown>();
    expect([named, unnamed]).toEqual([[5], null]);
    await Promise.all([client.close(), server.discardReads()]);
  });
});

describe('the types of writing', () => {
  it('accept text, and bytes in every shape', () => {
    expectTypeOf<string>().toExtend<MessageData>();
    expectTypeOf<Uint8Array>().toExtend<MessageData>();
    expectTypeOf<Buffer>().toExtend<MessageData>();
    expectTypeOf<Float64Array>().toExtend<MessageData>();
    expectTypeOf<DataView>().toExtend<MessageData>();
    expectTypeOf<ArrayBuffer>().toExtend<MessageData>();
    expectTypeOf<SharedArrayBuffer>().toExtend<MessageData>();
    expectTypeOf<BorrowedMessage>().toExtend<MessageData>();
    expectTypeOf<number[]>().not.toExtend<MessageData>();
    expectTypeOf<number>().not.toExtend<MessageData>();
    expectTypeOf<null>().not.toExtend<MessageData>();
    expectTypeOf<Blob>().not.toExtend<MessageData>();
    expectTypeOf<Awaits<Conn['send']>>().toEqualTypeOf<void>();
    expectTypeOf<Awaits<Conn['nextWriter']>>().toEqualTypeOf<MessageWriter>();
    expectTypeOf<ReturnType<MessageWriter['writable']>>().toEqualTypeOf<
      WritableStream<MessageData>
    >();
    expectTypeOf<Awaits<Conn['ping']>>().toEqualTypeOf<number>();
    expectTypeOf(broadcast).returns.toEqualTypeOf<number>();
    expectTypeOf<MessageWriter>().toExtend<AsyncDisposable>();
  });
});

describe('the types of handlers', () => {
  it('accept synchronous and asynchronous functions, and type their arguments', () => {
    expectTypeOf<MessageHandler>().parameters.toEqualTypeOf<[BorrowedMessage]>();
    expectTypeOf<(message: BorrowedMessage) => Promise<void>>().toExtend<MessageHandler>();
    expectTypeOf<() => void>().toExtend<MessageHandler>();
    expectTypeOf<PingPongHandler>().parameters.toEqualTypeOf<[OwnedBytes]>();
    expectTypeOf<CloseHandler>().parameters.toEqualTypeOf<[number, string]>();
    expectTypeOf<Conn['setPingHandler']>().parameters.toEqualTypeOf<[PingPongHandler | null]>();
    expectTypeOf<Conn['closeHandler']>().returns.toEqualTypeOf<CloseHandler>();
    expectTypeOf<Conn['setReadDeadline']>().parameters.toEqualTypeOf<[Date | number | null]>();
    expectTypeOf<Conn['setReadLimit']>().parameters.toEqualTypeOf<[number | false]>();
  });
});

describe('the types of a connection', () => {
  it('have read-only facts', () => {
    expectTypeOf<Conn['role']>().toEqualTypeOf<'client' | 'server'>();
    expectTypeOf<Conn['state']>().toEqualTypeOf<ConnState>();
    expectTypeOf<ConnState>().toEqualTypeOf<'open' | 'closing' | 'closed'>();
    expectTypeOf<Conn['closed']>().toEqualTypeOf<Promise<CloseInfo>>();
    expectTypeOf<CloseInfo['code']>().toEqualTypeOf<number>();
    expectTypeOf<ConnStats['rtt']>().toEqualTypeOf<number>();
    expectTypeOf<Conn>().toExtend<AsyncDisposable>();
    expectTypeOf<Conn['underlyingConn']>().toEqualTypeOf<unknown>();
    expectTypeOf(connPair).returns.toEqualTypeOf<[client: Conn, server: Conn]>();
  });

  it('accept options that are undefined, and reject unknown ones', () => {
    const every = {
      role: 'client',
      host: undefined,
      subprotocol: undefined,
      readLimit: false,
      idleReadTimeout: false,
      heartbeat: { interval: 1, timeout: 1 },
      maxBufferedAmount: false,
      writeBufferPool: undefined,
    } as const;
    expectTypeOf(every).toExtend<ConnOptions>();
    expectTypeOf<ConnSettings['readAhead']>().toEqualTypeOf<number | undefined>();
    expectTypeOf<ConnSettings['readLimit']>().toEqualTypeOf<number | false | undefined>();
    expectTypeOf<BroadcastOptions['except']>().toEqualTypeOf<Conn | Iterable<Conn> | undefined>();
    expectTypeOf<BufferPool['get']>().returns.toEqualTypeOf<Uint8Array | undefined>();
    expectTypeOf<Platform['isUtf8']>().toEqualTypeOf<
      ((bytes: Uint8Array) => boolean) | undefined
    >();
    expectTypeOf<Transport['cork']>().toEqualTypeOf<(() => void) | undefined>();
  });
});

describe('the types of errors', () => {
  it('include their numbers', () => {
    const error: unknown = new CloseError(1001, 'bye');
    if (!isCloseError(error, 1001)) expect.unreachable();
    expectTypeOf<CloseError>().toExtend<WebSocketError>();
    expectTypeOf<CloseError['closeCode']>().toEqualTypeOf<number>();
    expectTypeOf<ReadLimitError['limit']>().toEqualTypeOf<number>();
    expectTypeOf<ProtocolError['faults']>().toExtend<readonly string[]>();
    expectTypeOf<WebSocketError['code']>().toEqualTypeOf<string>();
    expect(new ReadLimitError(5).limit).toBe(5);
    expect(new ProtocolError(1002, ['bad MASK']).faults).toEqual(['bad MASK']);
  });
});

/** Each line that the compiler takes is one too many. */
export function misuse(conn: Conn, message: BorrowedMessage, transport: Transport): void {
  // @ts-expect-error no bytes
  void conn.send(5);
  // @ts-expect-error no bytes
  void conn.send([1, 2]);
  // @ts-expect-error nothing to send
  void conn.send();
  // @ts-expect-error the type comes first
  void conn.writeMessage('text', TextMessage);
  // @ts-expect-error types are numbers
  void conn.nextWriter('text');
  // @ts-expect-error no such option
  void conn.nextWriter(TextMessage, { queued: true });
  // @ts-expect-error no such option
  void conn.readMessage({ deadline: 5 });
  // @ts-expect-error milliseconds, not a Date
  void conn.readMessage({ timeout: new Date() });
  // @ts-expect-error no such option
  void conn.readJSON({ schema: z.number() });
  // @ts-expect-error a message is prepared by its class
  void conn.writePreparedMessage('text');
  // @ts-expect-error 0 and true bound nothing
  conn.setReadLimit(true);
  // @ts-expect-error null takes a deadline away
  conn.setReadDeadline(undefined);
  // @ts-expect-error null restores the default
  conn.setPingHandler(undefined);
  // @ts-expect-error the payload is bytes
  conn.setPingHandler((payload: string) => void payload);
  // @ts-expect-error a handler, not a message
  void conn.receive(message);
  // @ts-expect-error facts are read-only
  conn.role = 'client';
  // @ts-expect-error facts are read-only
  message.copy().data = new Uint8Array(1);
  // @ts-expect-error counters are read-only
  conn.stats.messagesIn = 0;
  // @ts-expect-error which end it is must be said
  const options: ConnOptions = { readLimit: 5 };
  // @ts-expect-error true is no bound
  const settings: ConnSettings = { readLimit: true };
  // @ts-expect-error off is false
  const beat: ConnSettings = { heartbeat: true };
  // @ts-expect-error one or several, but Conns
  broadcast([conn], 'x', { except: 'all' });
  // @ts-expect-error both are needed
  const pool: BufferPool = { get: () => undefined };
  // @ts-expect-error what it is, and what it says
  const prepared = new PreparedMessage('text');
  void [options, settings, beat, pool, prepared, transport];
}
