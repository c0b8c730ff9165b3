import type { Conn, ConnLike, Message } from '@ws/conn';
import { describe, expectTypeOf, it } from 'vitest';
import {
  type BrowserConn,
  type DialOptions,
  type OwnedBytes,
  ReconnectingConn,
  type WholeMessageReader,
} from '../src/index.ts';

describe('ConnLike', () => {
  it('is the type of a Conn and of a BrowserConn', () => {
    expectTypeOf<Conn>().toExtend<ConnLike>();
    expectTypeOf<BrowserConn>().toExtend<ConnLike>();
    expectTypeOf<Conn<{ name: string }>>().toExtend<ConnLike<{ name: string }>>();
    expectTypeOf<BrowserConn<{ name: string }>>().toExtend<ConnLike<{ name: string }>>();
    expectTypeOf<Conn<{ name: string }>>().not.toExtend<ConnLike<{ name: number }>>();
  });

  it('has what both have', () => {
    expectTypeOf<ConnLike>().not.toHaveProperty('ping');
    expectTypeOf<ConnLike['readJSON']>().toEqualTypeOf<Conn['readJSON']>();
    expectTypeOf<ConnLike>().toExtend<AsyncDisposable>();
  });
});

describe('bytes that the package hands out', () => {
  it('are those of Blob, Response and crypto.subtle', () => {
    type Readable = ReturnType<BrowserConn['toStreams']>['readable'];
    expectTypeOf<OwnedBytes>().toEqualTypeOf<Uint8Array<ArrayBuffer>>();
    expectTypeOf<Message['data']>().toEqualTypeOf<OwnedBytes>();
    expectTypeOf<ReturnType<WholeMessageReader['bytes']>>().toEqualTypeOf<Promise<OwnedBytes>>();
    expectTypeOf<ReturnType<WholeMessageReader['readable']>>().toEqualTypeOf<
      ReadableStream<OwnedBytes>
    >();
    expectTypeOf<Readable>().toEqualTypeOf<ReadableStream<string | OwnedBytes>>();
  });

  it('leave every kind of bytes to `send`', () => {
    type Sent = Parameters<BrowserConn['send']>[0];
    expectTypeOf<Uint8Array<SharedArrayBuffer>>().toExtend<Sent>();
    expectTypeOf<DataView>().toExtend<Sent>();
    expectTypeOf<SharedArrayBuffer>().toExtend<Sent>();
  });
});

describe('functions of the options', () => {
  it('have parameters without annotations', () => {
    const make = (): unknown =>
      new ReconnectingConn(({ signal }) => (signal.aborted ? new URL('ws://h') : 'ws://h'), {
        alive: { ask: () => 'x', answer: (message) => message.text() === message.type.toString() },
        resend: {
          id: (data) => (typeof data === 'string' ? data : undefined),
          acknowledged: (message) => (message.isText ? [message.text()] : undefined),
        },
        onOpen: (conn) => conn.send('x'),
      });
    expectTypeOf(make).toBeFunction();
    expectTypeOf<ReturnType<ReconnectingConn['reconnect']>>().toEqualTypeOf<Promise<BrowserConn>>();
    expectTypeOf<DialOptions>().toHaveProperty('alive');
  });
});
