import { ProtocolError, WebSocketError } from '@ws/codec';
import { describe, expect, it } from 'vitest';

describe('WebSocketError', () => {
  it('begins its message with the name of the protocol and keeps its code and cause', () => {
    const cause = new Error('reset');
    const error = new WebSocketError('it broke', 'WS_ERR_TEST', { cause });
    expect(error).toBeInstanceOf(Error);
    expect(error.message).toBe('websocket: it broke');
    expect(error.code).toBe('WS_ERR_TEST');
    expect(error.cause).toBe(cause);
    expect(String(error)).toBe('WebSocketError: websocket: it broke');
  });
});

describe('ProtocolError', () => {
  it('names every fault in its message', () => {
    const error = new ProtocolError(1002, ['RSV2 set', 'bad MASK']);
    expect(error).toBeInstanceOf(WebSocketError);
    expect(error.message).toBe('websocket: RSV2 set, bad MASK');
    expect(error.faults).toEqual(['RSV2 set', 'bad MASK']);
    expect(error.closeCode).toBe(1002);
    expect(error.code).toBe('WS_ERR_PROTOCOL');
    expect(error.name).toBe('ProtocolError');
  });

  it('has a code for each kind of rule', () => {
    const cause = new RangeError('zlib');
    const error = new ProtocolError(1007, ['bad block'], 'WS_ERR_INVALID_DEFLATE', { cause });
    expect(error.code).toBe('WS_ERR_INVALID_DEFLATE');
    expect(error.cause).toBe(cause);
  });
});
