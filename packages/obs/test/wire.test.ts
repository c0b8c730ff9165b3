import { CloseCode } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import {
  RequestBatchExecutionType,
  RequestStatus,
  WebSocketCloseCode,
  WebSocketOpCode,
} from '../src/generated/enums.ts';
import * as wire from '../src/wire.ts';

describe('the constants of the wire', () => {
  it('are those of the protocol', () => {
    const {
      NORMAL_CLOSURE,
      GOING_AWAY,
      NO_STATUS_RECEIVED,
      ABNORMAL_CLOSURE,
      MESSAGE_DECODE_ERROR,
      AUTHENTICATION_FAILED,
      UNSUPPORTED_RPC_VERSION,
      SESSION_INVALIDATED,
      UNKNOWN_STATUS,
      ...ops
    } = wire;
    const constantName = (name: string): string =>
      name.replaceAll(/(?<=[a-z])[A-Z]/g, '_$&').toUpperCase();
    const named = (values: object): object =>
      Object.fromEntries(
        Object.entries(values).map(([name, value]) => [constantName(name), value as unknown]),
      );
    expect(ops).toEqual(named(WebSocketOpCode));
    expect(named(WebSocketCloseCode)).toMatchObject({
      MESSAGE_DECODE_ERROR,
      AUTHENTICATION_FAILED,
      UNSUPPORTED_RPC_VERSION,
      SESSION_INVALIDATED,
    });
    expect(named(CloseCode)).toMatchObject({
      NORMAL_CLOSURE,
      GOING_AWAY,
      NO_STATUS_RECEIVED,
      ABNORMAL_CLOSURE,
    });
    expect(UNKNOWN_STATUS).toBe(RequestStatus.Unknown);
    expect(RequestBatchExecutionType).toMatchObject({
      SerialRealtime: 0,
      SerialFrame: 1,
      Parallel: 2,
    });
  });
});
