import { type Fields, fieldsOf, typed } from './encoding.ts';
import { ObsProtocolError, ObsRequestError } from './errors.ts';
import type { RequestStatus } from './generated/enums.ts';
import type { Requests, Responses } from './generated/protocol.ts';
import { EXECUTION_TYPES } from './generated/wire.ts';
import { type CallOptions, checkCall, expect, expectType } from './options.ts';

/** One request of a batch. */
export type BatchRequest = {
  [T in keyof Requests]: [Requests[T]] extends [undefined]
    ? { readonly requestType: T; readonly requestData?: undefined }
    : Partial<Requests[T]> extends Requests[T]
      ? { readonly requestType: T; readonly requestData?: Requests[T] | undefined }
      : { readonly requestType: T; readonly requestData: Requests[T] };
}[keyof Requests];

/** OBS's verdict about a request. */
export interface RequestVerdict<Result extends boolean = boolean> {
  /** Whether OBS has carried it out. */
  readonly result: Result;
  readonly code: RequestStatus;
  readonly comment?: string;
}

/** The result of one request of a batch. */
export type BatchResult<T extends keyof Requests = keyof Requests> = {
  [Each in T]:
    | {
        readonly requestType: Each;
        readonly requestStatus: RequestVerdict<true>;
        readonly responseData: Responses[Each];
        readonly error?: undefined;
      }
    | {
        readonly requestType: Each;
        readonly requestStatus: RequestVerdict<false>;
        readonly responseData?: undefined;
        readonly error: ObsRequestError;
      };
}[T];

/** Options of `Obs.batch`. */
export interface BatchOptions extends CallOptions {
  /**
   * Whether OBS stops at the first refused request. No effect with `execution: 'parallel'`.
   * Default: false.
   */
  readonly haltOnFailure?: boolean | undefined;
  /**
   * `'serial-realtime'`: one after the other, at once. `'serial-frame'`: one after the other, between
   * frames of the video, so that the request `Sleep` can count frames. `'parallel'`: at the same
   * time on the threads of OBS. Default: `'serial-realtime'`.
   */
  readonly execution?: 'serial-realtime' | 'serial-frame' | 'parallel' | undefined;
}

/** Returns the fields of a RequestBatch. @throws TypeError for a wrong argument. */
export function batchOf(
  requests: readonly BatchRequest[],
  { haltOnFailure = false, execution = 'serial-realtime' }: BatchOptions = {},
): Fields {
  expect(Array.isArray(requests), 'batch', 'an array of requests', requests);
  for (const each of requests) checkCall('batch', each?.requestType, each?.requestData);
  expectType('haltOnFailure', 'boolean', haltOnFailure);
  const executionType = EXECUTION_TYPES.indexOf(execution);
  expect(executionType >= 0, 'execution', EXECUTION_TYPES.join(' or '), execution);
  return { haltOnFailure, executionType, requests };
}

/** @throws ObsProtocolError for a malformed answer. */
export function resultsOf({ results }: Fields): BatchResult[] {
  if (!Array.isArray(results)) throw new ObsProtocolError('an answer to a batch has no results');
  return results.map((result: unknown) => {
    const fields = fieldsOf(result);
    const error = refusalOf(typed('requestType', 'string', fields['requestType']), fields);
    return { ...fields, error } as unknown as BatchResult;
  });
}

/**
 * Returns the error of a refused request, undefined for one that OBS has carried out.
 *
 * @throws ObsProtocolError for an answer without a verdict.
 */
export function refusalOf(requestType: string, answer: Fields): ObsRequestError | undefined {
  const { result, code, comment } = fieldsOf(answer['requestStatus']);
  if (result === true) return undefined;
  return new ObsRequestError(
    requestType,
    // RequestStatus.Unknown: that object would be in every bundle.
    typeof code === 'number' ? (code as RequestStatus) : 0,
    comment,
  );
}
