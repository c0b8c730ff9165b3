import { utf8Length } from './utf8-length.ts';
import type {
  PageSocket,
  StreamReadable,
  StreamWritable,
  WebSocketEvent,
  WebSocketStreamLike,
} from './web-types.ts';

/**
 * A WebSocketStream in the form of a WebSocket. It reads a message only when `pull` asks for it:
 * until then TCP holds the peer back.
 */
export class StreamSocket implements PageSocket {
  readonly underlying: WebSocketStreamLike;
  binaryType = '';
  readyState = 0;
  protocol = '';
  extensions = '';
  bufferedAmount = 0;
  readonly #listeners: Record<string, ((event: WebSocketEvent) => void)[]> = {};
  #reader: ReturnType<StreamReadable['getReader']> | undefined;
  #writer: ReturnType<StreamWritable['getWriter']> | undefined;
  /** Settles when the last message was sent. */
  #written: Promise<unknown> = Promise.resolve();
  /** Whether a message is being read. */
  isReading = false;
  /** Whether the connection closes: what arrives is read without a `pull`. */
  #draining = false;

  constructor(stream: WebSocketStreamLike) {
    this.underlying = stream;
    void this.#open();
  }

  addEventListener(type: string, listener: (event: WebSocketEvent) => void): void {
    (this.#listeners[type] ??= []).push(listener);
  }

  async #open(): Promise<void> {
    const { opened, closed } = this.underlying;
    const drain = (): void => this.#drain();
    closed.then(drain, drain);
    try {
      const { readable, writable, protocol, extensions } = await opened;
      this.#reader = readable.getReader();
      this.#writer = writable.getWriter();
      Object.assign(this, { readyState: 1, protocol, extensions });
      this.#emit('open', {});
      this.pull();
    } catch (error) {
      this.#end({ code: 1006, reason: '', wasClean: false }, error);
    }
  }

  #emit(type: string, event: WebSocketEvent): void {
    for (const listener of this.#listeners[type] ?? []) listener(event);
  }

  #end(event: WebSocketEvent, error?: unknown): void {
    this.readyState = 3;
    this.#emit('error', { error });
    this.#emit('close', event);
  }

  #drain(): void {
    this.#draining = true;
    this.pull();
  }

  pull(): void {
    if (this.#reader === undefined || this.isReading) return;
    this.isReading = true;
    void this.#read(this.#reader);
  }

  async #read(reader: ReturnType<StreamReadable['getReader']>): Promise<void> {
    try {
      const { done, value } = await reader.read();
      if (done) {
        const { closeCode = 1005, reason = '' } = await this.underlying.closed;
        return this.#end({ code: closeCode, reason, wasClean: true });
      }
      this.isReading = false;
      this.#emit('message', { data: value });
      if (this.#draining) this.pull();
    } catch (error) {
      this.#end({ code: 1006, reason: '', wasClean: false }, error);
    }
  }

  send(data: string | Uint8Array): void {
    const size = typeof data === 'string' ? utf8Length(data) : data.length;
    const sent = (): void => {
      this.bufferedAmount -= size;
    };
    this.bufferedAmount += size;
    // A queued chunk is read later.
    const chunk = typeof data === 'string' ? data : data.slice();
    this.#written = this.#writer!.write(chunk).then(sent, sent);
  }

  /** Closes after all messages that were sent; without a code at once, and drops them. */
  close(closeCode?: number, reason = ''): void {
    this.#drain();
    if (closeCode !== undefined) {
      this.readyState = 2;
      void this.#written.then(() => this.underlying.close({ closeCode, reason }));
      return;
    }
    // A blocked write would keep the connection.
    this.#writer?.abort().catch(() => {});
    this.underlying.close();
  }
}
