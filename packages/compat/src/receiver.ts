import { Writable } from 'node:stream';
import { MessageParser, type ParserEvents, type ParserOptions } from './message-parser.ts';

const settle = (receiver: Receiver, error?: Error): void => receiver._settle(error);

const events: ParserEvents<Receiver> = {
  answerPing() {},
  conclude(receiver, code, reason) {
    receiver.emit('conclude', code, reason);
    receiver.end();
    receiver._settle();
  },
  fault: settle,
  drain: settle,
  finish: settle,
};

/**
 * Parses frames that are written to it, and emits 'message', 'ping', 'pong', 'conclude' (code and
 * reason of a close frame) and 'error'.
 *
 * @example
 * ```ts
 * import { Receiver } from '@ws/compat';
 *
 * const receiver = new Receiver();
 * receiver.on('message', (data: Buffer) => console.log(data.toString())); // hi
 * receiver.write(Buffer.of(0x81, 2, 0x68, 0x69));
 * ```
 */
export class Receiver extends Writable {
  readonly #parser: MessageParser<Receiver>;
  #callback: ((error?: Error | null) => void) | undefined;

  constructor(options: ParserOptions = {}) {
    super();
    this.#parser = new MessageParser<Receiver>(this, events, options);
    this.#parser.machine.autoPong = false;
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    this.#callback = callback;
    this.#parser.receive(chunk);
    if (!this.#parser.busy) this._settle();
  }

  /** @internal The chunk was handled. */
  _settle(error?: Error): void {
    const callback = this.#callback;
    this.#callback = undefined;
    callback?.(error);
  }
}
