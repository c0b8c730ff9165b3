import type { Conn, ConnLike, Message } from '@ws/conn';
import { describe, expectTypeOf, it } from 'vitest';
import type { BrowserConn, OwnedBytes, WholeMessageReader } from '../src/index.ts';

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
