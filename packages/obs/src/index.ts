export type { CloseInfo } from '@ws/conn';
export type {
  BatchOptions,
  BatchRequest,
  BatchResult,
  RequestVerdict,
} from './batch.ts';
export { type ConnectOptions, connect } from './connect.ts';
export type { ObsClose } from './connection.ts';
export type { Encoding } from './encoding.ts';
export { ObsCloseError, ObsProtocolError, ObsRequestError } from './errors.ts';
export type * from './field-types.ts';
export {
  EventSubscription,
  ObsMediaInputAction,
  ObsOutputState,
  RequestStatus,
  WebSocketCloseCode,
} from './generated/enums.ts';
export type { Events, Requests, Responses } from './generated/protocol.ts';
export {
  type CallArguments,
  type EventType,
  Obs,
  type ObsEvent,
  type ObsInfo,
  type ReidentifyOptions,
  type RequestType,
} from './obs.ts';
export type { CallOptions, ObsConn, ObsDial } from './options.ts';
export { type ReconnectingObsOptions, reconnectingObs } from './reconnecting-obs.ts';
