import {
  BinaryMessage,
  CloseMessage,
  ContinuationFrame,
  PingMessage,
  PongMessage,
  TextMessage,
} from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { isControl } from '../../src/frames/opcode.ts';

describe('the opcodes', () => {
  it('are those of RFC 6455, section 11.8', () => {
    expect([ContinuationFrame, TextMessage, BinaryMessage]).toEqual([0, 1, 2]);
    expect([CloseMessage, PingMessage, PongMessage]).toEqual([8, 9, 10]);
  });

  it('are control frames from 8 on', () => {
    const control = Array.from({ length: 16 }, (_, opcode) => opcode).filter(isControl);
    expect(control).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
  });
});
