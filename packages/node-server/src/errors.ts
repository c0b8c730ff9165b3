import { WebSocketError } from '@ws/codec';

/** A header of a response: name and value. */
export type HeaderPair = readonly [name: string, value: string];

/** What a {@link HandshakeError} is made with, besides status and message. */
export interface HandshakeErrorOptions extends ErrorOptions {
  /** Headers that the answer has beside the usual ones. */
  readonly headers?: readonly HeaderPair[] | undefined;
  /** The text of the answer; put nothing of the request into it. */
  readonly body?: string | undefined;
}

/** A request was refused: it is answered already when `upgrade` rejects with this. */
export class HandshakeError extends WebSocketError {
  declare readonly code: 'WS_ERR_HANDSHAKE';
  /** The HTTP status of the answer. */
  readonly status: number;
  /** Headers that this refusal's answer has beside the usual ones. */
  readonly headers: readonly HeaderPair[];
  /** The text of the answer; nothing of the request stands in it. */
  readonly body: string;

  constructor(status: number, message: string, options: HandshakeErrorOptions = {}) {
    super(message, 'WS_ERR_HANDSHAKE', options);
    this.status = status;
    this.headers = options.headers ?? [];
    this.body = options.body ?? `${message}\n`;
  }

  override get name(): string {
    return 'HandshakeError';
  }
}

/** One of the application's functions failed: the peer is told nothing, the cause is kept. */
export function serverFault(where: string, cause: unknown): HandshakeError {
  return new HandshakeError(500, `${where} failed`, { body: 'Internal Server Error\n', cause });
}
