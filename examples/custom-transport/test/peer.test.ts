import {
  BinaryMessage,
  CloseCode,
  CloseMessage,
  ContinuationFrame,
  encodeFrame,
  formatCloseMessage,
  PingMessage,
  PongMessage,
  parseCloseMessage,
  TextMessage,
} from '@ws/codec';
import { naiveDecode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Peer } from '../peer.ts';

const MIB = 1024 * 1024;

/** A server, and a hostile client that feeds it. */
function setup() {
  const written: Uint8Array[] = [];
  const peer = new Peer('server');
  const events: string[] = [];
  peer.onMessage = (type, payload) => events.push(`message ${type}: ${payload.length} bytes`);
  peer.onPong = (payload) => events.push(`pong: ${payload.length} bytes`);
  peer.onClose = (code) => events.push(`close ${code}`);
  const flush = (): void =>
    peer.flush((chunk, release) => {
      written.push(Uint8Array.from(chunk));
      release();
    });
  return {
    peer,
    events,
    flush,
    /** Delivers frames as one chunk. */
    feed: (...frames: readonly Uint8Array[]) => {
      try {
        peer.receive(Uint8Array.from(Buffer.concat(frames)));
      } finally {
        flush();
      }
    },
    /** Written frames. */
    sent: () => naiveDecode(Buffer.concat(written), 'client').frames,
    /** Opcodes of the written frames. */
    opcodes: () => naiveDecode(Buffer.concat(written), 'client').frames.map((f) => f.opcode),
  };
}

function frame(opcode: number, payload: Uint8Array | string = '', fin = true): Uint8Array {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
  return encodeFrame(opcode, bytes, { fin, maskKey: 0x37fa213d });
}

const goodbye = frame(CloseMessage, formatCloseMessage(CloseCode.NormalClosure));

describe('Peer', () => {
  it('ignores the bytes after a close frame', () => {
    const { feed, events, opcodes } = setup();
    feed(goodbye, frame(TextMessage, 'late'), frame(PingMessage), goodbye);
    feed(frame(TextMessage, 'later'), goodbye);
    expect(events).toEqual(['close 1000']);
    expect(opcodes()).toEqual([CloseMessage]);
  });

  const tooBig = new Uint8Array(MIB);
  it.each<[string, number, readonly Uint8Array[]]>([
    ['a bad frame', 1002, [Uint8Array.of(0xf1, 0x80, 0, 0, 0, 0)]],
    ['a frame without a mask', 1002, [encodeFrame(TextMessage, Buffer.from('hi'))]],
    ['a text that is not UTF-8', 1007, [frame(TextMessage, Uint8Array.of(0xc3, 0x28))]],
    ['a close frame of one byte', 1002, [frame(CloseMessage, Uint8Array.of(3))]],
    ['a large frame', 1009, [frame(BinaryMessage, new Uint8Array(MIB + 1))]],
    [
      'a large message',
      1009,
      [frame(BinaryMessage, tooBig, false), frame(ContinuationFrame, 'x', false)],
    ],
  ])('fails once for %s, and ignores all later chunks', (_, code, bad) => {
    const { feed, events, sent } = setup();
    feed(...bad, frame(TextMessage, 'behind it'));
    feed(frame(TextMessage, 'later'));
    feed(goodbye);
    expect(events).toEqual([`close ${code}`]);
    expect(sent()).toHaveLength(1);
    const close = parseCloseMessage(sent()[0]!.payload);
    expect(close.code).toBe(code);
    // Do not reveal the limit to the peer.
    expect(close.reason).not.toContain(String(MIB));
  });

  it('fails a message of endless empty fragments', () => {
    const { feed, events } = setup();
    const empty = frame(ContinuationFrame, '', false);
    feed(frame(TextMessage, '', false), ...Array<Uint8Array>(1_023).fill(empty));
    expect(events).toEqual([]);
    feed(empty);
    expect(events).toEqual(['close 1008']);
  });

  it('holds the bytes of a message, and nothing for each fragment', () => {
    const { feed, events } = setup();
    const chunk = Buffer.concat(
      Array<Uint8Array>(10_000).fill(frame(ContinuationFrame, 'x', false)),
    );
    feed(frame(BinaryMessage, 'x', false));
    const before = memory();
    for (let i = 0; i < 50; i++) feed(chunk);
    // An object for each fragment takes 100 MiB.
    expect(memory() - before).toBeLessThan(30 * MIB);
    feed(frame(ContinuationFrame, 'x'));
    expect(events).toEqual(['message 2: 500002 bytes']);
  });

  it.each([1, 100, 3_000])('reads frames in chunks of %d bytes', (size) => {
    const { feed, events, opcodes } = setup();
    const stream = Buffer.concat([
      frame(TextMessage, 'hello'),
      frame(BinaryMessage, new Uint8Array(5 * 1024), false),
      frame(PingMessage, 'between'),
      frame(ContinuationFrame, new Uint8Array(70_000)),
      frame(PongMessage, 'pong'),
      goodbye,
    ]);
    for (let at = 0; at < stream.length; at += size) feed(stream.subarray(at, at + size));
    expect(events).toEqual([
      'message 1: 5 bytes',
      'message 2: 75120 bytes',
      'pong: 4 bytes',
      'close 1000',
    ]);
    expect(opcodes()).toEqual([PongMessage, CloseMessage]);
  });

  it('closes with 1011 if a handler throws, and lets the error pass', () => {
    const { peer, feed, events, opcodes } = setup();
    peer.onMessage = () => {
      throw new Error('of the application');
    };
    expect(() => feed(frame(TextMessage, 'a'), frame(TextMessage, 'b'))).toThrow(
      'of the application',
    );
    feed(frame(TextMessage, 'c'));
    expect(events).toEqual(['close 1011']);
    expect(opcodes()).toEqual([CloseMessage]);
  });

  it('reports 1006 if the transport ends first, and drops what is sent later', () => {
    const { peer, flush, events, sent } = setup();
    peer.end();
    peer.send(TextMessage, Buffer.from('late'));
    flush();
    expect(events).toEqual(['close 1006']);
    expect(sent()).toEqual([]);
  });
});

function memory(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
