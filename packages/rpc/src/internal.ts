/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name.
 *
 * @module
 */
export {
  ROOM_REFUSED,
  type RoomEvents,
  type RoomMethods,
  withRoomHandlers,
  withRooms,
} from './rooms/room-contract.ts';
export { ErrorCode, isRpcError } from './rpc-error.ts';
export { type Checked, check, checkIsSchema, misfit } from './schema.ts';
