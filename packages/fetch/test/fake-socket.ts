import type { PageSocket, WebSocketEvent } from '@ws/browser/internal';

/** A socket of a runtime whose events the test sends. */
export class FakeSocket implements PageSocket {
  readyState = 1;
  bufferedAmount = 0;
  readonly protocol = '';
  readonly extensions = '';
  binaryType = '';
  readonly sent: unknown[] = [];
  readonly #listeners = new Map<string, (event: WebSocketEvent) => void>();

  addEventListener(type: string, listener: (event: WebSocketEvent) => void): void {
    this.#listeners.set(type, listener);
  }

  send(data: unknown): void {
    this.sent.push(data);
  }

  readonly closes: unknown[] = [];

  close(code?: number): void {
    this.closes.push(code);
    this.readyState = 2;
  }

  emit(type: string, event: WebSocketEvent): void {
    this.#listeners.get(type)?.(event);
  }
}
