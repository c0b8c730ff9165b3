import {
  CloseCode,
  FrameDecoder,
  FrameHeader,
  negotiateDeflate,
  ProtocolError,
  parseCloseMessage,
  parseTokenList,
  RequestHead,
  ResponseHead,
  UTF8_ACCEPT,
  utf8Step,
} from '@ws/codec';
import { Conn, type Transport } from '@ws/conn';
import type { DeflateEngines } from '@ws/deflate';
import { nodeDeflate } from '@ws/node-io';
import { hex } from '@ws/tests';
import type { Target } from '../harness/target.ts';
import { apiSequence } from '../targets/api-sequence.ts';
import { clientReply } from '../targets/client-reply.ts';
import { closePayload } from '../targets/close-payload.ts';
import { extensionsHeader } from '../targets/extensions-header.ts';
import { frameHeader } from '../targets/frame-header.ts';
import { frameStream } from '../targets/frame-stream.ts';
import { inflate } from '../targets/inflate.ts';
import { requestHead } from '../targets/request-head.ts';
import { responseHead } from '../targets/response-head.ts';
import { serverHandshake } from '../targets/server-handshake.ts';
import { subprotocolHeader } from '../targets/subprotocol-header.ts';
import { twoConnections } from '../targets/two-connections.ts';
import { utf8 } from '../targets/utf8.ts';

/** A target whose code under test has one rule removed. */
export interface PlantedBug {
  readonly bug: string;
  readonly target: Target;
  /** Executions in which the search has to find the bug, for each seed. */
  readonly executions: number;
  /** A short input that shows the bug. */
  readonly input: Uint8Array;
}

/** Reports a non-minimal length as an incomplete header. */
class LaxHeader extends FrameHeader {
  override read(bytes: Uint8Array, start?: number, end?: number): number {
    try {
      return super.read(bytes, start, end);
    } catch (error) {
      if (error instanceof ProtocolError && error.faults.includes('non-minimal length')) return 0;
      throw error;
    }
  }
}

/** Accepts a NUL in a value. */
class LaxRequestHead extends RequestHead {
  override push(chunk: Uint8Array) {
    return super.push(chunk.map((byte) => (byte === 0 ? 0x61 : byte)));
  }
}

/** Accepts a tab in a name. */
class LaxResponseHead extends ResponseHead {
  override push(chunk: Uint8Array) {
    return super.push(chunk.map((byte) => (byte === 9 ? 0x61 : byte)));
  }
}

/** State of `utf8Step` after one byte. */
function after(byte: number): number {
  return utf8Step(UTF8_ACCEPT, Uint8Array.of(byte), 0, 1);
}

/** Drops the drain events of a transport. */
function withoutDrain(transport: Transport): Transport {
  const start = transport.start.bind(transport);
  transport.start = (sink) =>
    start({
      data: (chunk, end) => sink.data(chunk, end),
      drain: () => {},
      end: () => sink.end(),
      close: (error) => sink.close(error),
    });
  return transport;
}

/** The memory that {@link withSharedMemory} reuses too early. */
const sharedMemory = new Uint8Array(65_536);
const SHARED_FROM = 5_000;

/** Delivers chunks in a later microtask, and keeps the large ones of all transports in one memory. */
function withSharedMemory(transport: Transport): Transport {
  const start = transport.start.bind(transport);
  transport.start = (sink) =>
    start({
      data: (chunk, length = chunk.length) => {
        const isLarge = length >= SHARED_FROM && length <= sharedMemory.length;
        const bytes = isLarge ? sharedMemory : chunk.slice(0, length);
        if (isLarge) sharedMemory.set(chunk.subarray(0, length));
        queueMicrotask(() => sink.data(bytes, length));
      },
      drain: () => sink.drain(),
      end: () => queueMicrotask(() => sink.end()),
      close: (error) => queueMicrotask(() => sink.close(error)),
    });
  return transport;
}

/** Resets its inflaters without the history of the stream. */
const withoutHistory: DeflateEngines = {
  inflater() {
    const inflater = nodeDeflate.inflater();
    const reset = inflater.reset.bind(inflater);
    inflater.reset = () => reset(undefined);
    return inflater;
  },
  deflater: (level, windowBits) => nodeDeflate.deflater(level, windowBits),
  memoryBudget: nodeDeflate.memoryBudget,
  generation: 0,
};

/** UTF-8 of lines, joined with CRLF. */
function text(...lines: readonly string[]): Uint8Array {
  return Uint8Array.from(Buffer.from(lines.join('\r\n')));
}

/** One for each target. */
export const plantedBugs: readonly PlantedBug[] = [
  {
    bug: 'a non-minimal length',
    target: frameHeader(() => new LaxHeader()),
    executions: 60_000,
    input: hex('00 7e 00 00'),
  },
  {
    bug: 'a frame one byte over a limit of 64 KiB',
    target: frameStream(({ maxFramePayload = Infinity, ...options }) => {
      const limit = maxFramePayload === 65_536 ? 65_537 : maxFramePayload;
      return new FrameDecoder({ ...options, maxFramePayload: limit });
    }),
    executions: 60_000,
    // Nine bytes of settings, and a header with a length of 65,537.
    input: hex('000008000000000000 82ff0000000000010001'),
  },
  {
    bug: 'a surrogate cut after its first byte',
    target: utf8((state, ...rest) =>
      utf8Step(state === after(0xed) ? after(0xee) : state, ...rest),
    ),
    executions: 60_000,
    input: hex('01 01 01 00 ed a0 80'),
  },
  {
    bug: 'close code 1015 on the wire',
    target: closePayload((payload) => {
      const [high, low] = payload;
      if (high === 0x03 && low === 0xf7) return { code: CloseCode.TLSHandshake, reason: '' };
      return parseCloseMessage(payload);
    }),
    executions: 60_000,
    input: hex('03 f7'),
  },
  {
    bug: 'a repeated parameter',
    target: extensionsHeader(undefined, (offers, limits) => {
      const lax = offers.map(({ name, params }) => ({ name, params }));
      return negotiateDeflate(lax, limits);
    }),
    executions: 60_000,
    input: text('\0\0\0permessage-deflate;client_max_window_bits=9;client_max_window_bits'),
  },
  {
    bug: 'a subprotocol offered twice',
    target: subprotocolHeader((text) => {
      const names = parseTokenList(text);
      return text.length > 4096 || (names?.length ?? 0) > 64 ? undefined : names;
    }),
    executions: 60_000,
    input: text('\0Upgrade,Upgrade'),
  },
  {
    bug: 'a second key',
    target: serverHandshake((upgrader, onConn) => {
      const listener = upgrader.handler(onConn);
      return (req, socket, head) => {
        const isKey = (name: string | undefined): boolean =>
          name?.toLowerCase() === 'sec-websocket-key';
        const first = req.rawHeaders.findIndex((name, i) => i % 2 === 0 && isKey(name));
        for (let i = req.rawHeaders.length - 2; i > first; i -= 2) {
          if (isKey(req.rawHeaders[i])) req.rawHeaders.splice(i, 2);
        }
        listener(req, socket, head);
      };
    }),
    executions: 20_000,
    input: text(
      '\0\0GET / HTTP/1.1',
      'Host:m',
      'Upgrade:websocket',
      'Connection:Upgrade',
      'Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version:13',
      's:',
      'Sec-WebSocket-Key:',
      '\r\n',
    ),
  },
  {
    bug: 'a 101 of HTTP/1.0',
    target: clientReply((handshake) => (stream, ...rest) => {
      const socket = stream as unknown as { push(chunk: Uint8Array | null): boolean };
      const push = socket.push.bind(socket);
      socket.push = (chunk) => {
        const text = chunk === null ? '' : Buffer.from(chunk).toString('latin1');
        if (!text.startsWith('HTTP/1.0 101')) return push(chunk);
        return push(Buffer.from(text.replace('1.0', '1.1'), 'latin1'));
      };
      return handshake(stream, ...rest);
    }),
    executions: 20_000,
    input: text(
      '\0\0HTTP/1.0 101 ',
      'Upgrade:websocket',
      'Connection:Upgrade',
      'Sec-WebSocket-Accept:$accept',
      '\r\n',
    ),
  },
  {
    bug: 'a NUL in the head of a request',
    target: requestHead(() => new LaxRequestHead()),
    executions: 20_000,
    input: text('\0\0GET / HTTP/1.1', 'Host:m', 'X:\0', '\r\n'),
  },
  {
    bug: 'a tab in the head of a response',
    target: responseHead(() => new LaxResponseHead()),
    executions: 20_000,
    input: text('\0\0HTTP/1.1 101 ', 'X\t:', '\r\n'),
  },
  {
    bug: 'a lost history of an inflater',
    target: inflate(withoutHistory),
    executions: 20_000,
    input: hex('01 00 00 00 00 00 00 10 5a 00 00 00 00 82 82 82 00 00 00'),
  },
  {
    bug: 'a lost drain event',
    target: apiSequence((transport, options) => new Conn(withoutDrain(transport), options)),
    executions: 3_000,
    input: hex('00 00 00 00 01 00 00 00 00 00 00 00 00 00 00'),
  },
  {
    bug: 'chunks of two connections in the same memory',
    target: twoConnections((transport, options) => new Conn(withSharedMemory(transport), options)),
    executions: 3_000,
    // A message of each side arrives before the first one is read.
    input: hex('00 00 00 00 c8 01 c8 0c 00 0d 00 10 00'),
  },
];

/** For a worker: each has the name of its sound target. */
export const targets: readonly Target[] = plantedBugs.map(({ target }) => target);
