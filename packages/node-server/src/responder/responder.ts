import type { Duplex, Writable } from 'node:stream';
import type { RequestFacts } from '@ws/codec';
import type { Transport } from '@ws/conn';
import type { HandshakeError, HeaderPair } from '../errors.ts';

/** An answer that refuses a handshake. */
export type Answer = Pick<HandshakeError, 'status' | 'headers' | 'body'>;

/**
 * Answers one request. Hides what carries the answer: a stream of HTTP/1.1, alone or under node:http,
 * or a stream of HTTP/2.
 */
export abstract class Responder {
  /** Why the request cannot become a WebSocket, whatever it says. Undefined if it can. */
  readonly fault: HandshakeError | undefined = undefined;
  /** Carries the connection after the handshake. Its events show what the client does before. */
  abstract readonly stream: Duplex;
  /**
   * Address of the other end; undefined for a Unix socket.
   *
   * @throws TransportError after a reset: the system has forgotten the address.
   */
  abstract get peerAddress(): string | undefined;
  /** Whether the application has answered the request itself. */
  abstract get isAnswered(): boolean;

  /** The stream, with the fields by which a socket names the other end. The option `error` gets it. */
  get client(): Duplex {
    return this.stream;
  }

  /** The answer that the application has begun; undefined without one. */
  get answer(): Writable | undefined {
    return this.isAnswered ? this.stream : undefined;
  }

  /** Whether answers to earlier requests are pending. This answer has to come after theirs. */
  get isQueued(): boolean {
    return false;
  }

  /** Whether an HTTP server still reads requests from the stream. Then it can carry no frames. */
  get isReadByServer(): boolean {
    return false;
  }

  /**
   * Waits until earlier requests are answered. An answer that is written earlier would come before
   * theirs, and the client would read their answers as frames.
   *
   * @param _wait - Waits while the client is there and the time is not up.
   * @throws the error of `_wait`.
   */
  async untilEarlierAnswered(_wait: (work: Promise<unknown>) => Promise<unknown>): Promise<void> {}

  /**
   * Writes the answer that accepts the handshake.
   *
   * @param facts - Of the request. Over HTTP/2 it may have no key.
   * @param subprotocol - `''` for none, as `extensions`.
   * @param headers - Those of the application.
   */
  abstract writeAccepted(
    facts: RequestFacts,
    subprotocol: string,
    extensions: string,
    headers: readonly HeaderPair[],
  ): void;
  /**
   * Makes the transport of an accepted connection.
   *
   * @param early - The bytes that the client has sent after its request.
   */
  abstract transport(
    early: Uint8Array,
    options: { readonly highWaterMark: number; readonly readBuffer: boolean },
  ): Transport;
  /**
   * Writes a refusal, and ends the stream when the client has read it.
   *
   * @param method - Of the request; undefined when the request was not parsed.
   */
  abstract refuse(answer: Answer, method: string | undefined): void;
  /**
   * Ends the stream after an answer that the application has written.
   *
   * @param stallTimeout - Milliseconds in which the client must take some bytes of the answer;
   *   Infinity for no bound.
   */
  abstract endAnswered(stallTimeout: number): void;
}
