export { type Position, START } from './room-contract.ts';
export type { RoomMessage } from './room-loop.ts';
export {
  type JoinOptions,
  type RoomSchemas,
  Rooms,
  type RoomsOptions,
  roomsOf,
} from './rooms.ts';
