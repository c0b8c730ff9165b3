export type { StandardSchema } from '@ws/conn';
export type { None, Peer } from '../contract.ts';
export type { Event, Method, Stream } from '../definitions.ts';
export type { MembersListener } from './client-rooms.ts';
export { type JoinOptions, type Position, type RoomMember, START } from './room-contract.ts';
export type { RoomMessage } from './room-loop.ts';
export type { MembersChange, RoomMembers } from './room-members.ts';
export type { KeySchemas, RoomSchemas } from './room-schemas.ts';
export {
  type ContractRoomsOptions,
  type PublishOptions,
  Rooms,
  type RoomsOptions,
  roomsOf,
} from './rooms.ts';
