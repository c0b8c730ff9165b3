/**
 * Rooms for clients.
 *
 * @module rooms
 */
export type { May, RoomRules, RoomTable } from './room-table.ts';
export {
  type ContractServeOptions,
  type RoomsServer,
  type ServeRoomsOptions,
  serveRooms,
} from './serve-rooms.ts';
