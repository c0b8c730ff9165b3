import type { Http2Session, Http2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { inRootContext } from '../async-contexts.ts';
import { isHttp2Stream } from '../http/reset.ts';
import { unref } from '../node-platform.ts';
import { resetForOverload } from './codes.ts';

/** Most bytes that the paused streams of one session may hold. */
const MAX_UNREAD = 32 * 1024 * 1024;
/** Milliseconds between two counts. A session that cannot reach the limit is not counted. */
const COUNT_MS = 20;
/** Bytes that Node may hold for a stream: a piece of a write, and the headers. */
const STREAM_MEMORY = 128 * 1024;
/** Bytes for the session itself. */
const SESSION_MEMORY = 16 * 1024 * 1024;
/** The unit of `maxSessionMemory`. */
const MEGABYTE = 1_000_000;

/**
 * Returns `maxSessionMemory`, in MB, for a session with so many streams. Above it Node refuses new
 * streams, and ends the session after a hundred of them. Node's default, 10 MB, suffices for 150
 * WebSockets with slow peers.
 */
export function sessionMemory(streams: number): number {
  const megabytes = Math.ceil((SESSION_MEMORY + streams * STREAM_MEMORY) / MEGABYTE);
  return Math.min(megabytes, 2 ** 32 - 1);
}

/**
 * Counts the unread bytes of a stream that has no transport: the body of a page. Only a stream of
 * HTTP/2 shares its memory with others.
 *
 * @returns Call it when the stream has closed.
 */
export function countUnread(stream: Duplex): () => void {
  const session = isHttp2Stream(stream) ? stream.session : undefined;
  if (session === undefined) return () => {};
  const streams = pausedStreamsOf(session);
  const plain = stream as Http2Stream;
  streams.add(plain, { resetUnread: () => resetForOverload(plain) });
  return () => streams.remove(plain);
}

/** Resets a stream with too many unread bytes. */
type Resets = { resetUnread(error: Error): void };

const bySession = new WeakMap<Http2Session, PausedStreams>();

/** Returns the paused streams of a session. */
export function pausedStreamsOf(session: Http2Session): PausedStreams {
  let streams = bySession.get(session);
  if (streams === undefined) {
    streams = new PausedStreams(session);
    bySession.set(session, streams);
  }
  return streams;
}

/**
 * Bounds the memory of the streams that are not read in one session. Node gives the session's window
 * back when bytes arrive, so that a paused stream blocks no other. Each paused stream may then hold
 * as many bytes as the window of a stream.
 */
export class PausedStreams {
  readonly #session: Http2Session;
  /** In the order of their pauses, each with the object that resets it. */
  readonly #paused = new Map<Http2Stream, Resets>();
  #timer: NodeJS.Timeout | undefined;

  constructor(session: Http2Session) {
    this.#session = session;
  }

  /** Adds a stream that pauses. */
  add(stream: Http2Stream, by: Resets): void {
    this.#paused.set(stream, by);
    this.#watch();
  }

  /** Removes a stream that resumes or has closed. */
  remove(stream: Http2Stream): void {
    this.#paused.delete(stream);
  }

  /** Starts the timer of the next count, unless the streams are too few to reach the limit. */
  #watch(): void {
    if (this.#timer !== undefined || this.#session.destroyed) return;
    const window = this.#session.localSettings.initialWindowSize ?? 65_535;
    if (this.#paused.size * window <= MAX_UNREAD) return;
    this.#timer = inRootContext(setTimeout, () => this.#count(), COUNT_MS);
    unref(this.#timer);
  }

  /** Resets the streams that were paused longest, until the others are below the limit. */
  #count(): void {
    this.#timer = undefined;
    let sum = 0;
    for (const { readableLength } of this.#paused.keys()) sum += readableLength;
    for (const [stream, by] of this.#paused) {
      if (sum <= MAX_UNREAD) break;
      const { readableLength } = stream;
      if (readableLength === 0) continue;
      sum -= readableLength;
      this.#paused.delete(stream);
      by.resetUnread(
        new Error(
          `the streams of the HTTP/2 session hold more than ${MAX_UNREAD} unread bytes, and this one was paused longest`,
        ),
      );
    }
    this.#watch();
  }
}
