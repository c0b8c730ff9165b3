export { type Position, START } from './room-contract.ts';
export type { RoomMessage } from './room-loop.ts';
export type { MembersChange, RoomMember, RoomMembers } from './room-members.ts';
export {
  type JoinOptions,
  type MembersListener,
  type RoomSchemas,
  Rooms,
  type RoomsOptions,
  roomsOf,
} from './rooms.ts';
