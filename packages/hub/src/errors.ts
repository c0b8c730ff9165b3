import { WebSocketError } from '@ws/conn';

/**
 * The hub is closed or closing.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 * import { Hub, HubClosedError } from '@ws/hub';
 *
 * const hub = new Hub();
 * await hub.close();
 * const [, server] = connPair();
 * try {
 *   hub.add(server);
 * } catch (error) {
 *   console.log(error instanceof HubClosedError); // true
 * }
 * ```
 */
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

/**
 * The session has ended.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 * import { Hub, SessionClosedError } from '@ws/hub';
 *
 * const hub = new Hub();
 * const [, server] = connPair();
 * const session = hub.add(server);
 * await session.close();
 * try {
 *   await session.join('lobby');
 * } catch (error) {
 *   console.log(error instanceof SessionClosedError); // true
 * }
 * ```
 */
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
 *
 * @example
 * ```ts
 * import { Hub, OverflowError } from '@ws/hub';
 *
 * const hub = new Hub({ maxRooms: 1, rooms: { '*': { history: true } } });
 * await hub.room('lobby').publish('hello');
 * try {
 *   await hub.room('kitchen').publish('hello');
 * } catch (error) {
 *   console.log(error instanceof OverflowError); // true
 * }
 * ```
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

/**
 * A join was refused: `mayJoin` has not admitted the session, a bound on rooms is reached, or the
 * session has left the room before the decision.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 * import { Hub, RoomRefusedError } from '@ws/hub';
 *
 * const hub = new Hub({ maxRoomsPerSession: 1 });
 * const [, server] = connPair();
 * const session = hub.add(server);
 * await session.join('lobby');
 * try {
 *   await session.join('kitchen');
 * } catch (error) {
 *   if (error instanceof RoomRefusedError) console.log(error.room); // kitchen
 * }
 * ```
 */
export class RoomRefusedError extends WebSocketError {
  declare readonly code: 'WS_ERR_ROOM_REFUSED';
  readonly room: string;

  constructor(room: string, why: string, options?: ErrorOptions) {
    super(`room ${JSON.stringify(room)} refused: ${why}`, 'WS_ERR_ROOM_REFUSED', options);
    this.room = room;
  }

  override get name(): string {
    return 'RoomRefusedError';
  }
}

/**
 * The backplane failed or is away. `cause` is its error.
 *
 * @example
 * ```ts
 * import { BackplaneError, Hub } from '@ws/hub';
 * import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
 *
 * const broker = new MemoryBroker();
 * const hub = new Hub({ backplane: memoryBackplane(broker) });
 * broker.disconnect();
 * try {
 *   await hub.broadcast('hello');
 * } catch (error) {
 *   console.log(error instanceof BackplaneError); // true
 * }
 * await hub.close();
 * ```
 */
export class BackplaneError extends WebSocketError {
  declare readonly code: 'WS_ERR_BACKPLANE';

  constructor(message: string, options?: ErrorOptions) {
    super(message, 'WS_ERR_BACKPLANE', options);
  }

  override get name(): string {
    return 'BackplaneError';
  }
}
