export { type Position, type RoomMember, START } from './room-contract.ts';
export type { RoomMessage } from './room-loop.ts';
export type { MembersChange, RoomMembers } from './room-members.ts';
export type { KeySchemas, RoomSchemas } from './room-schemas.ts';
export {
  type ContractRoomsOptions,
  type JoinOptions,
  type MembersListener,
  Rooms,
  type RoomsOptions,
  roomsOf,
} from './rooms.ts';
