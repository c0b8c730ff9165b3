export type {
  BorrowedMessage,
  ConnLike,
  DataType,
  Message,
  StandardSchema,
} from '@ws/conn';
export type { CallOptions } from './calls.ts';
export type { ReconnectingConnLike, SessionLike } from './carrier.ts';
export {
  type ConnectOptions,
  type Contract,
  type ContractPlan,
  contract,
  type HandlerContext,
  type HandlerOptions,
  type Handlers,
  type HandlersOption,
  type None,
  type Peer,
  type ServerHandlerContext,
  type SessionHandlerContext,
} from './contract.ts';
export {
  type Definitions,
  type Event,
  type EventDefinition,
  event,
  type Method,
  type MethodDefinition,
  type MethodOptions,
  method,
  type Named,
  type Stream,
  type StreamDefinition,
} from './definitions.ts';
export { OutdatedError, type ServerVersion } from './hello.ts';
export { RpcError } from './rpc-error.ts';
export type { SchemaInput } from './schema.ts';
export { stream } from './stream.ts';
