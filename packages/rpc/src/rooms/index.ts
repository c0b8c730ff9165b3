export { type Position, type RoomMember, START } from './room-contract.ts';
export type { RoomMessage } from './room-loop.ts';
export type { MembersChange, RoomMembers } from './room-members.ts';
export {
  type JoinOptions,
  type MembersListener,
  type RoomSchemas,
  Rooms,
  type RoomsOptions,
  roomsOf,
} from './rooms.ts';
