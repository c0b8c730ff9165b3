/**
 * WebSocket servers on bare streams, without node:http.
 *
 * @module
 */

export type { RequestFacts } from '@ws/codec';
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
export type { ServerStats } from '../acceptor.ts';
export type { CloseResult } from '../close-options.ts';
export type { ConnHandler } from '../conn-handler.ts';
export type { HeadersInput } from '../headers.ts';
export type { ServerPhase } from '../phase.ts';
export type { AdmitOrRefuse, Refusal } from '../policies/authenticate.ts';
export type { RouteOptions } from '../route.ts';
export { type Route, route } from '../route.ts';
export type { HeadCallbacks } from './head-callbacks.ts';
export { RawUpgrader, serveRaw } from './on-demand.ts';
export type { RawOptions, RawUpgraderOptions } from './raw-upgrader.ts';
export type { RawServeOptions, RawServer } from './serve-raw.ts';
