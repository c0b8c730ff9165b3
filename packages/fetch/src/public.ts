// Names that each file of the entry `@ws/fetch` exports beside `upgrade`.
export { UnsupportedError } from '@ws/browser/internal';
export {
  BackpressureError,
  BinaryMessage,
  CloseCode,
  CloseError,
  CloseSentError,
  JSONError,
  ReadLimitError,
  ReadPendingError,
  type ReportedConn,
  type Role,
  type SchemaIssue,
  TextMessage,
  TimeoutError,
  TransportError,
  WebSocketError,
  WriteClosedError,
} from '@ws/conn';
export {
  type Admissible,
  type Admission,
  type AdmitOptions,
  type AuthOf,
  admit,
  type RefuseOptions,
  type ResponseRefusal,
  refuse,
} from '@ws/conn/internal';
export type { HonoContext, HonoEvents, HonoSocket, UpgradeWebSocket } from './hono.ts';
export type {
  AdmitOrRefuse,
  FetchReport,
  FetchReportContext,
  Refusal,
  ServerConn,
  UpgradeContext,
  UpgradeHandler,
  UpgradeOptions,
} from './options.ts';
export type { FetchHandler, Upgrade } from './upgrade.ts';
