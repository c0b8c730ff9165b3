import { WebSocketError } from '@ws/conn';

/** The hub is closed or closing. */
export class HubClosedError extends WebSocketError {
  declare readonly code: 'WS_ERR_HUB_CLOSED';

  /** @param call - Name of the method. */
  constructor(call: string) {
    super(`${call}: the hub is closed`, 'WS_ERR_HUB_CLOSED');
  }

  override get name(): string {
    return 'HubClosedError';
  }
}

/** The session has ended. */
export class SessionClosedError extends WebSocketError {
  declare readonly code: 'WS_ERR_SESSION_CLOSED';

  /** @param call - Name of the method. */
  constructor(call: string) {
    super(`${call}: the session has ended`, 'WS_ERR_SESSION_CLOSED');
  }

  override get name(): string {
    return 'SessionClosedError';
  }
}

/**
 * Too many messages wait for delivery, or too many rooms have a history. This message was not sent.
 */
export class OverflowError extends WebSocketError {
  declare readonly code: 'WS_ERR_OVERFLOW';

  constructor(message: string) {
    super(message, 'WS_ERR_OVERFLOW');
  }

  override get name(): string {
    return 'OverflowError';
  }
}

/** A session may not join a room: a `join` listener refused, or a bound on rooms is reached. */
export class RoomRefusedError extends WebSocketError {
  declare readonly code: 'WS_ERR_ROOM_REFUSED';
  readonly room: string;

  constructor(room: string, why: string) {
    super(`room ${JSON.stringify(room)} refused: ${why}`, 'WS_ERR_ROOM_REFUSED');
    this.room = room;
  }

  override get name(): string {
    return 'RoomRefusedError';
  }
}

/** The backplane failed or is away. `cause` is its error. */
export class BackplaneError extends WebSocketError {
  declare readonly code: 'WS_ERR_BACKPLANE';

  constructor(message: string, options?: ErrorOptions) {
    super(message, 'WS_ERR_BACKPLANE', options);
  }

  override get name(): string {
    return 'BackplaneError';
  }
}
