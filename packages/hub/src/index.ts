export type {
  CloseHandler,
  CloseInfo,
  Conn,
  ConnLike,
  ConnState,
  ConnStats,
  DataType,
  Message,
  MessageData,
  MessageReader,
  MessageStreams,
  MessageWriter,
  PingPongHandler,
  Role,
} from '@ws/conn';
export type { Backplane, BackplaneSink, Keep } from './backplane/backplane.ts';
export type { PublishOptions } from './delivery/publish-options.ts';
export {
  BackplaneError,
  HubClosedError,
  OverflowError,
  RoomRefusedError,
  SessionClosedError,
} from './errors.ts';
export type {
  ConnectContext,
  ConnectQuery,
  HubEvents,
} from './events.ts';
export type { AskOptions, Everywhere } from './everywhere/everywhere.ts';
export type { HistoryQuery, Kept } from './history/room-history.ts';
export { Hub, type HubStats, type SessionInit } from './hub.ts';
export type {
  HistoryOptions,
  HubCloseOptions,
  HubCloseResult,
  HubOptions,
  Overflow,
  RoomOptions,
} from './options.ts';
export { isPosition, type Position } from './position.ts';
export type {
  InfoOf,
  JSONValue,
  PresenceChange,
  Presences,
  Present,
} from './presence/room-presence.ts';
export type { JoinOptions } from './rooms/joins.ts';
export { type Joined, Room } from './rooms/room.ts';
export { type SendOptions, Session } from './sessions/session.ts';
export type { Waiting } from './sessions/waiting-messages.ts';
