import { addAbortSignal, Duplex, type DuplexOptions } from 'node:stream';
import { bytesOfView } from '@ws/conn/internal';
import { CLOSED, CONNECTING, OPEN } from './connection.ts';
import { platform } from './platform.ts';
import type { WebSocket } from './websocket.ts';

/**
 * Turns a connection into a stream: a chunk is a message.
 *
 * @param options - Of the stream. With `readableObjectMode`, a text message is a string.
 *
 * @example
 * ```ts
 * import { createWebSocketStream, WebSocketServer } from '@ws/compat';
 *
 * const server = new WebSocketServer({ port: 0 });
 * server.on('connection', (ws) => {
 *   const stream = createWebSocketStream(ws);
 *   stream.pipe(stream);
 * });
 * server.on('listening', () => server.close());
 * ```
 */
export function createWebSocketStream(ws: WebSocket, options?: DuplexOptions): Duplex {
  return new WebSocketStream(ws, options);
}

class WebSocketStream extends Duplex {
  readonly #ws: WebSocket;
  /** An error of the connection ends it without our help. */
  #terminates = true;
  /** The answer to the peer's close, while writes are in progress. */
  #answer: (() => void) | undefined;

  constructor(ws: WebSocket, options: DuplexOptions | undefined) {
    super({
      ...options,
      autoDestroy: false,
      emitClose: false,
      objectMode: false,
      writableObjectMode: false,
      // The methods are those of this class.
      read: undefined,
      write: undefined,
      final: undefined,
      destroy: undefined,
      signal: undefined,
    });
    this.#ws = ws;
    // Only now: an aborted signal destroys the stream at once, and that needs the field.
    if (options?.signal) addAbortSignal(options.signal, this);
    ws.on('message', (data: Buffer, isBinary: boolean) => {
      const chunk = !isBinary && this.readableObjectMode ? data.toString() : data;
      if (!this.push(chunk)) ws.pause();
    });
    ws.once('error', (error: Error) => {
      if (this.destroyed) return;
      this.#terminates = false;
      this.destroy(error);
    });
    ws.once('close', () => {
      if (!this.destroyed) this.push(null);
    });
    this.on('end', () => {
      if (!this.destroyed && this.writableFinished) this.destroy();
    });
    this.on('error', onError);
    ws._delaysAnswer = (answer) => this.#delaysAnswer(answer);
  }

  /**
   * Answers the peer's close after the writes in progress. ws does so with compression: it inflates
   * one message after the other, so that the stream writes between the last messages and the close.
   */
  #delaysAnswer(answer: () => void): boolean {
    const ws = this.#ws;
    const isBusy = ws._readyState === OPEN && !this.destroyed && this.writableLength > 0;
    if (!isBusy || ws.extensions === '') return false;
    this.#answer = answer;
    const timer = setTimeout(() => this.#answerNow(), ws._closeTimeout);
    ws.once('close', () => clearTimeout(timer));
    return true;
  }

  #answerNow(): void {
    const answer = this.#answer;
    this.#answer = undefined;
    answer?.();
  }

  /** A write has ended. More of a pipe may follow in this turn. */
  #written(callback: (error?: Error | null) => void): (error?: Error | null) => void {
    return (error) => {
      callback(error);
      if (this.#answer === undefined) return;
      platform.yield(() => {
        if (this.writableLength === 0 || this.destroyed) this.#answerNow();
      });
    };
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    const ws = this.#ws;
    let failed = false;
    const done = (): void => {
      if (!failed) callback(error);
      process.nextTick(emitClose, this);
    };
    if (ws.readyState === CLOSED) return done();
    ws.once('error', (failure: Error) => {
      failed = true;
      callback(failure);
    });
    ws.once('close', done);
    if (this.#terminates) ws.terminate();
  }

  override _final(callback: (error?: Error | null) => void): void {
    const ws = this.#ws;
    if (ws.readyState === CONNECTING) {
      ws.once('open', () => this._final(callback));
      return;
    }
    const socket = ws._socket;
    // The handshake has failed: 'error' follows.
    if (socket === null) return;
    if (socket.writableFinished) {
      callback();
      if (this.readableEnded) this.destroy();
      return;
    }
    socket.once('finish', () => callback());
    ws.close();
  }

  override _read(): void {
    if (this.#ws.isPaused) this.#ws.resume();
  }

  override write(chunk: unknown, ...more: unknown[]): boolean {
    return super.write(plain(chunk), ...(more as [BufferEncoding]));
  }

  override end(chunk?: unknown, ...more: unknown[]): this {
    return super.end(plain(chunk), ...(more as [BufferEncoding]));
  }

  override _write(
    chunk: Buffer,
    encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    const ws = this.#ws;
    if (ws.readyState === CONNECTING) {
      ws.once('open', () => this._write(chunk, encoding, callback));
      return;
    }
    ws.send(chunk, this.#written(callback));
  }

  /** The chunks that wait leave in one turn. */
  override _writev(
    chunks: readonly { readonly chunk: Buffer; readonly encoding: BufferEncoding }[],
    callback: (error?: Error | null) => void,
  ): void {
    const ws = this.#ws;
    if (ws.readyState === CONNECTING) {
      ws.once('open', () => this._writev(chunks, callback));
      return;
    }
    const last = chunks.length - 1;
    chunks.forEach(({ chunk }, i) => {
      ws.send(chunk, i === last ? this.#written(callback) : undefined);
    });
  }
}

/** As of `toDuplex`: Node makes a Buffer of other views by their properties, which may be wrong. */
function plain(chunk: unknown): unknown {
  return ArrayBuffer.isView(chunk) && !(chunk instanceof Buffer) ? bytesOfView(chunk) : chunk;
}

function emitClose(stream: Duplex): void {
  stream.emit('close');
}

/** An error of the stream ends it. Without a listener it is uncaught, as in every stream. */
function onError(this: Duplex, error: Error): void {
  this.removeListener('error', onError);
  this.destroy();
  if (this.listenerCount('error') === 0) this.emit('error', error);
}
