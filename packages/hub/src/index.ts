export type { Backplane, BackplaneSink, Keep } from './backplane.ts';
export type { HubCloseOptions, HubCloseResult } from './close-options.ts';
export {
  BackplaneError,
  HubClosedError,
  OverflowError,
  RoomRefusedError,
  SessionClosedError,
} from './errors.ts';
export type { ConnectContext, ConnectQuery, HubEvents } from './events.ts';
export { Hub, type HubStats, type SessionInit } from './hub.ts';
export type { MessageOptions, ValueListener } from './message-schema.ts';
export type { HistoryOptions, HubOptions, RoomOptions } from './options.ts';
export type { Overflow } from './overflow.ts';
export type { Position } from './position.ts';
export type { Kept } from './room-history.ts';
export type { Joined, OverflowPolicy } from './session.ts';
export { type PublishOptions, Room, type SendOptions, Session } from './session.ts';
export type { Waiting } from './waiting-messages.ts';
