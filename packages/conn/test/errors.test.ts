import { WebSocketError } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import {
  BackpressureError,
  CloseError,
  CloseSentError,
  isCloseError,
  isUnexpectedCloseError,
  ProtocolError,
  ReadLimitError,
  ReadPendingError,
  TimeoutError,
  TransportError,
} from '../src/index.ts';

describe('CloseError', () => {
  it.each([
    [1000, '', 'websocket: close 1000 (normal)'],
    [1001, 'bye', 'websocket: close 1001 (going away): bye'],
    [1005, '', 'websocket: close 1005 (no status)'],
    [
      1006,
      'unexpected EOF',
      'websocket: close 1006 (abnormal closure): unexpected EOF; the peer ended the connection without a close frame',
    ],
    [1012, '', 'websocket: close 1012'],
    [4000, 'app', 'websocket: close 4000: app'],
    [4000, 'a\u001b[2J\nb', 'websocket: close 4000: a\\u001b[2J\\u000ab'],
    [4000, 'a\u202eb\u2066c\u{e0041}', 'websocket: close 4000: a\\u202eb\\u2066c\\u{e0041}'],
  ])('%d %j reads %s', (code, reason, message) => {
    const error = new CloseError(code, reason);
    expect(error).toMatchObject({
      message,
      closeCode: code,
      reason,
      code: 'WS_ERR_CLOSE',
      name: 'CloseError',
    });
  });
});

describe('every error', () => {
  it.each([
    [new CloseSentError(), 'CloseSentError', 'WS_ERR_CLOSE_SENT'],
    [new ReadLimitError(5), 'ReadLimitError', 'WS_ERR_READ_LIMIT'],
    [new ReadPendingError('a', 'b'), 'ReadPendingError', 'WS_ERR_READ_PENDING'],
    [new TimeoutError('x'), 'TimeoutError', 'WS_ERR_TIMEOUT'],
    [new BackpressureError('x'), 'BackpressureError', 'WS_ERR_BACKPRESSURE'],
    [new TransportError('x', { cause: 1 }), 'TransportError', 'WS_ERR_TRANSPORT'],
    [new ProtocolError(1002, ['x']), 'ProtocolError', 'WS_ERR_PROTOCOL'],
  ])('%s is a WebSocketError with a name and a code', (error, name, code) => {
    expect(error).toBeInstanceOf(WebSocketError);
    expect(error).toMatchObject({ name, code });
    expect(error.message).toMatch(/^websocket: /);
  });

  it('retains its cause', () => {
    expect(new TransportError('x', { cause: 1 }).cause).toBe(1);
  });
});

describe('isCloseError', () => {
  it.each([
    [new CloseError(1000), [1000, 1001], true],
    [new CloseError(1002), [1000, 1001], false],
    [new CloseError(1000), [], true],
    [new Error('x'), [1000], false],
    [new Error('x'), [], false],
    [undefined, [1000], false],
  ])('%s of %j is %s', (error, codes, is) => {
    expect(isCloseError(error, ...codes)).toBe(is);
  });
});

describe('isUnexpectedCloseError', () => {
  it.each([
    [new CloseError(1000), [1000, 1001], false],
    [new CloseError(1002), [1000, 1001], true],
    [new CloseError(1000), [], true],
    [new Error('x'), [], false],
  ])('%s but %j is %s', (error, codes, is) => {
    expect(isUnexpectedCloseError(error, ...codes)).toBe(is);
  });
});
