import { Conn, type Transport, type TransportSink } from '@ws/conn';
import { nodePlatform } from '@ws/node-io';
import type { Subject } from '../harness/batches.ts';
import { makeEchoCorpus } from '../load/echo-corpus.ts';
import { bytesName } from '../report/table.ts';
import { MiniEcho } from '../rivals/mini.ts';
import type { Kernels } from './kernels.ts';

/** Bytes of a batch, about. */
const BATCH = 256 * 1024;

/**
 * An echo by a Conn on a transport that discards its writes, next to a loop of plain JavaScript that
 * parses and unmasks the same frames.
 */
export const microKernels: Kernels = Object.fromEntries(
  [16, 1024].flatMap((size) =>
    [1, 16, 256].map((count) => [
      `${count} x ${bytesName(size)} in a chunk`,
      () => echoing(size, count),
    ]),
  ),
);

function echoing(size: number, count: number): Record<string, Subject> {
  const { frames, replies } = makeEchoCorpus({
    content: 'binary',
    sizes: [size],
    count,
    fragments: 1,
    raw: false,
  });
  const chunks = Math.ceil(BATCH / frames.bytes.length);
  const units = chunks * count;
  const expected = replies.bytes.length;
  return {
    receive: { batch: pushing(receiver, frames.bytes, chunks, expected), units },
    loop: { batch: pushing(looper, frames.bytes, chunks, expected), units },
    'plain JS': { batch: plain(frames.bytes, chunks, expected), units },
  };
}

function receiver(conn: Conn): void {
  void conn.receive((message) => conn.send(message));
}

async function looper(conn: Conn): Promise<void> {
  for await (const message of conn) {
    await conn.send(message);
  }
}

/** A transport that counts the written bytes and discards them. */
class EmptyTransport implements Transport {
  sink: TransportSink | undefined;
  readonly bufferedAmount = 0;
  #missing = 0;
  #onWritten: (() => void) | undefined;

  start(sink: TransportSink): void {
    this.sink = sink;
  }

  write({ length }: Uint8Array, release?: () => void): boolean {
    this.#missing -= length;
    release?.();
    if (this.#missing <= 0) this.#onWritten?.();
    return true;
  }

  /** Delivers a chunk. Returns a promise when its answers come later. */
  deliver(chunk: Uint8Array, expected: number): Promise<void> | undefined {
    this.#missing = expected;
    this.#onWritten = undefined;
    this.sink!.data(chunk);
    if (this.#missing <= 0) return undefined;
    return new Promise((resolve) => {
      this.#onWritten = resolve;
    });
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
}

/** Unmasking in place toggles the bytes between masked and plain, so every batch costs the same. */
function pushing(
  handle: (conn: Conn) => unknown,
  frames: Buffer,
  chunks: number,
  expected: number,
): () => Promise<void> {
  const chunk = Uint8Array.from(frames);
  const transport = new EmptyTransport();
  handle(new Conn(transport, { role: 'server', platform: nodePlatform }));
  return async () => {
    for (let i = 0; i < chunks; i++) {
      const answers = transport.deliver(chunk, expected);
      if (answers !== undefined) await answers;
    }
  };
}

function plain(frames: Buffer, chunks: number, expected: number): () => void {
  const echo = new MiniEcho();
  return () => {
    for (let i = 0; i < chunks; i++) {
      if (echo.push(frames)?.length !== expected) throw new Error('an echo is missing');
    }
  };
}
