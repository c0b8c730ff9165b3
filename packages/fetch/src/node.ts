/**
 * `@ws/fetch` on Node: a server for your `fetch`, and an adapter of the shape of crossws.
 *
 * @module
 */
export type {
  CloseHandler,
  CloseInfo,
  Conn,
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
export type {
  CloseResult,
  ServerPhase,
  ServerStats,
  WsServer,
} from '@ws/node-server';
export {
  type CrosswsAdapter,
  type CrosswsHooks,
  type CrosswsOptions,
  crosswsAdapter,
} from './node/crossws-adapter.ts';
export type { NodeInfo, NodeOptions } from './node/fetch-upgrades.ts';
export { type ServeFetchOptions, serveFetch } from './node/serve-fetch.ts';
