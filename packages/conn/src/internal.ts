/**
 * Exports for the other packages of this project. Unstable: any release may change or remove a
 * name. A class that `@ws/conn` exports too is the same object.
 *
 * @module
 */
export { bytesOfView, checked, fromCaller, lengthOf, MAX_CLOSE_REASON } from '@ws/codec/internal';
export { preparedOf } from './broadcast.ts';
export { checkCloseOptions } from './call-options.ts';
export { type ConnInternals, internalsOf, isConnLike } from './conn-like.ts';
export {
  AFTER,
  ASKS,
  BROKEN,
  CALL,
  CANCEL,
  DISCARD,
  GIVEN,
  HANDLES,
  NONE,
  OVER,
  PROMISE,
  READ,
  RECEIVE,
  type Reader,
  type ReaderEvent,
  SETTLED,
  WAITS,
} from './connection/reader.ts';
export { causeText, errorOf, isError, printable } from './errors.ts';
export { addHabits, type Facts, type Habits, refuseHandlers } from './habits.ts';
export { joinFor } from './join.ts';
export {
  type Admissible,
  Admission,
  type AdmitOptions,
  type AuthOf,
  admit,
  decisionOf,
  type RefuseOptions,
  type ResponseRefusal,
  refuse,
  verdictOf,
} from './login/admit.ts';
export { copyOf } from './memory/copy.ts';
export { Fifo } from './memory/fifo.ts';
export {
  connSettingNames,
  ResolvedOptions,
  resolveSettings,
} from './options/conn-options.ts';
export { deflateLimits, extensionRuntime } from './options/deflate.ts';
export { optionHint } from './options/option-hints.ts';
export { asyncContexts } from './platform/async-contexts.ts';
export { inLaterTurn, YieldQueue } from './platform/later-turns.ts';
export { checkRate } from './rate-options.ts';
export { Bucket, type BucketPlan } from './read/bucket.ts';
export { checkNoMaps, formatJSON } from './read/json.ts';
export { chunkError, closeConfirmed, streamsOf } from './read/message-streams.ts';
export { limitRate, RateTokens } from './read/rate.ts';
export { reportError, warnOfDeprecation } from './report/report.ts';
export { schedulerOf } from './scheduler/scheduler.ts';
export { LONG_TURN, TurnCallback } from './scheduler/task-queue.ts';
export type { TimerEntry } from './scheduler/timers.ts';
export { addAbortListener, removeAbortListener } from './time/abort-listeners.ts';
export { CallPromise } from './time/call-promise.ts';
export { checkExpires } from './time/deadline.ts';
export { Expiry } from './time/expiry.ts';
export { Deferred, markHandled, RESOLVED, refused, rejected, resolvedAt } from './time/promises.ts';
export { checkWaitOptions } from './time/wait.ts';
export {
  badType,
  bound,
  checkNames,
  checkNoMore,
  checkOptionNames,
  checkReceive,
  duration,
  hasOwn,
  isThenable,
  kind,
  nearName,
  onRejection,
  whole,
} from './validate.ts';
export { WriteBudget } from './writing/buffer-limits.ts';
export { bytesOf, dataTypeOf, utf8 } from './writing/payload.ts';
export { PendingBytesMistake } from './writing/pending-bytes.ts';
export { bytesOfBatch, sharedFrames } from './writing/shared-frames.ts';
