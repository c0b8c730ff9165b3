// Each public class of the codec that reads or writes, beside the Receiver and Sender of ws and a decoder by hand.
import {
  Endpoint,
  FRAME,
  FRAME_END,
  FrameDecoder,
  FrameEncoder,
  MESSAGE,
  MessageDecoder,
  NEED_MORE,
} from '@ws/codec';
import type { Subject } from '../harness/batches.ts';
import { frameStream } from './frame-stream.ts';
import * as ws from './ws.ts';

/** Bytes of a read. All reads have one buffer, as on a server. */
const CHUNK = 65_536;

/** Reads `chunk[0, end)`, and returns how many messages it has found. */
type Read = (chunk: Uint8Array, end: number) => number;

/** The messages of a stream of masked frames, each of `bytes`. */
export function reading(bytes: number): Record<string, Subject> {
  const { stream, frames } = frameStream([bytes], true);
  const subjectOf = (make: () => Read): Subject => {
    const read = make();
    const chunk = new Uint8Array(CHUNK);
    const batch = (): void => {
      let messages = 0;
      for (let at = 0; at < stream.length; at += CHUNK) {
        const end = Math.min(CHUNK, stream.length - at);
        chunk.set(stream.subarray(at, at + end));
        messages += read(chunk, end);
      }
      if (messages !== frames) throw new Error(`${messages} messages of ${frames}`);
    };
    return { batch, units: frames };
  };
  return Object.fromEntries(
    Object.entries(READERS).map(([name, make]) => [name, subjectOf(make)] as const),
  );
}

const READERS: Readonly<Record<string, () => Read>> = {
  'ours, FrameDecoder'() {
    const decoder = new FrameDecoder({ role: 'server' });
    return (chunk, end) => {
      let messages = 0;
      decoder.push(chunk, end);
      for (let event: number; (event = decoder.next()) > NEED_MORE; ) {
        if (event === FRAME || event === FRAME_END) messages++;
      }
      return messages;
    };
  },
  'ours, MessageDecoder'() {
    const decoder = new MessageDecoder({ role: 'server' });
    return (chunk, end) => {
      let messages = 0;
      decoder.push(chunk, end);
      for (let event: number; (event = decoder.next()) > NEED_MORE; ) {
        if (event === MESSAGE) messages++;
      }
      return messages;
    };
  },
  'ours, Endpoint'() {
    const endpoint = new Endpoint({ role: 'server' });
    let messages = 0;
    const count = (): void => void messages++;
    return (chunk, end) => {
      messages = 0;
      endpoint.receive(end === CHUNK ? chunk : chunk.subarray(0, end), count);
      return messages;
    };
  },
  'ours, Endpoint, owned'() {
    const endpoint = new Endpoint({ role: 'server' });
    return (chunk, end) => endpoint.receive(chunk.subarray(0, end)).length;
  },
  ws: ws.receiver,
  naive,
};

/** A decoder of 30 lines: joins what is left with the next read, unmasks byte by byte. */
function naive(): Read {
  let left = Buffer.alloc(0);
  return (chunk, end) => {
    const read = Buffer.from(chunk.buffer, 0, end);
    const bytes = left.length > 0 ? Buffer.concat([left, read]) : read;
    let messages = 0;
    let at = 0;
    for (;;) {
      if (bytes.length < at + 2) break;
      let length = bytes[at + 1]! & 0x7f;
      let start = at + 2;
      if (length === 126) {
        if (bytes.length < at + 4) break;
        length = bytes.readUInt16BE(at + 2);
        start = at + 4;
      } else if (length === 127) {
        if (bytes.length < at + 10) break;
        length = Number(bytes.readBigUInt64BE(at + 2));
        start = at + 10;
      }
      if (bytes.length < start + 4 + length) break;
      const payload = bytes.subarray(start + 4, start + 4 + length);
      for (let i = 0; i < length; i++) payload[i]! ^= bytes[start + (i & 3)]!;
      messages++;
      at = start + 4 + length;
    }
    left = Buffer.from(bytes.subarray(at));
    return messages;
  };
}

/** Writes one message; `flush` gives what waits to the transport. */
interface Writer {
  readonly send: () => void;
  readonly flush: () => void;
}

/** Unmasked messages of `bytes`, `together` in each write. */
export function writing(bytes: number, together: number): Record<string, Subject> {
  const payload = new Uint8Array(bytes).fill(7);
  const units = together * Math.max(4, Math.floor((256 * 1024) / bytes / together));
  const subjectOf = ({ send, flush }: Writer): Subject => ({
    units,
    batch: () => {
      for (let i = 0; i < units; i += together) {
        for (let j = 0; j < together; j++) send();
        flush();
      }
    },
  });
  const written = (_chunk: Uint8Array, release: () => void): void => release();
  const encoder = new FrameEncoder({ role: 'server' });
  const endpoint = new Endpoint({ role: 'server' });
  const free = (): void => {};
  return {
    'ours, FrameEncoder': subjectOf({
      send: () => encoder.frame(2, true, 0, payload),
      flush: () => encoder.flush(written),
    }),
    'ours, Endpoint': subjectOf({
      send: () => endpoint.send(payload),
      flush: () => endpoint.output(written),
    }),
    'ours, Endpoint, release': subjectOf({
      send: () => endpoint.send(payload, free),
      flush: () => endpoint.output(written),
    }),
    ws: subjectOf({ send: ws.sender(payload, 'server'), flush: () => {} }),
  };
}
