import type { Role, WebSocketError } from '@ws/codec';
import { FakePlatform, inWords, naiveDecode, TestTransport } from '@ws/tests';
import { expect } from 'vitest';
import { Connection } from '../../src/connection/connection.ts';
import { ConnShared } from '../../src/connection/shared.ts';
import { BinaryMessage, type BufferPool, type ConnSettings } from '../../src/index.ts';
import { resolveSettings } from '../../src/options.ts';

/** A transport that records the order of its calls. */
class RecordingTransport extends TestTransport {
  readonly calls: string[] = [];
  readonly chunks: Uint8Array[] = [];
  /** Whether each write blocks it. */
  takesOne = false;

  override write(chunk: Uint8Array, release?: () => void): boolean {
    if (this.takesOne) this.block();
    this.calls.push(`write ${chunk.length}`);
    this.chunks.push(chunk);
    return super.write(chunk, release);
  }

  override cork(): void {
    this.calls.push('cork');
  }

  override uncork(): void {
    this.calls.push('uncork');
  }
}

export interface QueueOptions {
  readonly role?: Role;
  /** Bytes that the transport holds before it is blocked. */
  readonly mark?: number;
  readonly platform?: FakePlatform;
}

/**
 * The writer and the send queue of a connection, and the calls that the connection receives: it
 * flushes only when the test does.
 */
export function queueOf(
  settings: ConnSettings = {},
  {
    role = 'server',
    mark = 0,
    platform = new FakePlatform({ automatic: false }),
  }: QueueOptions = {},
) {
  const watched: string[] = [];
  const conn = { role, subprotocol: '', localAddr: undefined, remoteAddr: undefined };
  const observer = {
    messageOut(of: object, type: number, bytes: number) {
      expect(of).toBe(conn);
      watched.push(`${type} of ${bytes}`);
    },
  };
  Object.assign(platform, { observer });
  const transport = new RecordingTransport({ highWaterMark: mark });
  const shared = new ConnShared(
    role,
    platform,
    resolveSettings({ heartbeat: false, ...settings }, role),
  );
  const asked: string[] = [];
  const aborted: WebSocketError[] = [];
  const connection = new Connection(conn, transport, shared, undefined);
  const { writer, sendQueue } = connection;
  connection.flushAtEndOfTurn = () => void asked.push('flush');
  connection.abort = (error) => {
    aborted.push(error);
    sendQueue.stopAccepting(error);
  };
  // The first turn of the connection ends now, and not at the end of the turn.
  connection.onTurn();
  connection.awaitsTurn = false;
  connection.onTurn = () => {};
  return {
    sendQueue,
    writer,
    shared,
    platform,
    transport,
    connection,
    asked,
    aborted,
    watched,
    sent: () => {
      const { frames } = naiveDecode(transport.sent, role === 'server' ? 'client' : 'server');
      return frames.map(inWords);
    },
    /** The error of a call after the end. It comes in a later turn. */
    errorOf: (call: Promise<void> | undefined): Promise<unknown> => {
      platform.runYielded();
      return Promise.resolve(call).catch((error: unknown) => error);
    },
    /** Blocks the transport after a frame of `payload` bytes. */
    block: (payload = 0): void => {
      transport.block();
      void writer.sendBytes(BinaryMessage, new Uint8Array(payload), 0, payload, undefined);
      sendQueue.flush();
    },
  };
}

/** First byte of the only frame of a message, without its opcode. */
export const FIN = 0x80;

/** The current state of a promise. */
export async function stateOf(promise: Promise<unknown>): Promise<unknown> {
  return Promise.race([promise.then(() => 'resolved'), Promise.resolve().then(() => 'pending')]);
}

export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text);
}

export const noBuffer: BufferPool = {
  get() {
    throw new Error('no memory');
  },
  put() {},
};

/** A buffer pool that counts the buffers that are lent. */
export function countingPool(size = 65_536): BufferPool & { lent: number } {
  return {
    lent: 0,
    get() {
      this.lent++;
      return new Uint8Array(size);
    },
    put() {
      this.lent--;
    },
  };
}
