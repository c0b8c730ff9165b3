// An Endpoint and a Conn report the same for every stream, and what a naive reader finds in it. Both
// decode with MessageDecoder, so the naive reader is the second implementation of RFC 6455.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Endpoint, type EndpointEvent, encodeFrame, type Role, TextMessage } from '@ws/codec';
import { Conn } from '@ws/conn';
import { naiveDecode, TestTransport } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

interface Stream {
  readonly role: Role;
  readonly readLimit: number;
  readonly chunks: readonly Uint8Array[];
}

const printed = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

function print(event: EndpointEvent): string {
  if (event.kind === 'text') return `text ${event.text}`;
  if (event.kind !== 'close') return `${event.kind} ${printed(event.data)}`;
  return `close ${event.code} ${event.reason} ${event.wasClean}`;
}

function endpointEvents({ role, readLimit, chunks }: Stream): string[] {
  const endpoint = new Endpoint({ role, readLimit });
  return [...chunks.flatMap((chunk) => endpoint.receive(chunk)), ...endpoint.end()].map(print);
}

async function connEvents({ role, readLimit, chunks }: Stream): Promise<string[]> {
  const transport = new TestTransport();
  const conn = new Conn(transport, { role, readLimit, heartbeat: false });
  const events: string[] = [];
  conn.setPingHandler((data) => void events.push(`ping ${printed(data)}`));
  conn.setPongHandler((data) => void events.push(`pong ${printed(data)}`));
  const reading = conn.receive((message) => {
    events.push(
      message.type === TextMessage ? `text ${message.text()}` : `binary ${printed(message.data)}`,
    );
  });
  for (const chunk of chunks) transport.feed(chunk);
  transport.feedEnd();
  await reading.catch(() => {});
  const { code, reason, wasClean } = await conn.closed;
  return [...events, `close ${code} ${reason} ${wasClean}`];
}

/** The events of the complete frames. The last one is a close event if a frame ends the stream. */
function naiveEvents({ role, readLimit, chunks }: Stream): string[] {
  const { frames, failure } = naiveDecode(Buffer.concat(chunks), role);
  const events: string[] = [];
  let type = 0;
  let payload = Buffer.alloc(0);
  for (const { opcode, fin, payload: bytes } of frames) {
    if (opcode === 8) return [...events, naiveClose(Buffer.from(bytes))];
    if (opcode > 8) {
      events.push(`${opcode === 9 ? 'ping' : 'pong'} ${printed(bytes)}`);
      continue;
    }
    if (opcode > 0) [type, payload] = [opcode, Buffer.alloc(0)];
    payload = Buffer.concat([payload, bytes]);
    if (payload.length > readLimit) return [...events, 'close 1009  false'];
    const text = type === TextMessage ? textOf(payload, fin) : '';
    if (text === undefined) return [...events, 'close 1007  false'];
    if (fin) events.push(type === TextMessage ? `text ${text}` : `binary ${printed(payload)}`);
  }
  return failure === undefined ? events : [...events, `close ${failure.closeCode}  false`];
}

function naiveClose(payload: Buffer): string {
  if (payload.length === 0) return 'close 1005  true';
  const code = payload.length === 1 ? 0 : payload.readUInt16BE();
  const isKnown = code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code);
  if (!isKnown && (code < 3000 || code > 4999)) return 'close 1002  false';
  const reason = textOf(payload.subarray(2), true);
  return reason === undefined ? 'close 1007  false' : `close ${code} ${reason} true`;
}

/** Undefined for bytes that are no UTF-8. `whole`: no further bytes follow. */
function textOf(bytes: Uint8Array, whole: boolean): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, {
      stream: !whole,
    });
  } catch {
    return undefined;
  }
}

async function compare(stream: Stream): Promise<void> {
  const events = endpointEvents(stream);
  expect(await connEvents(stream)).toEqual(events);
  const naive = naiveEvents(stream);
  // The end of the stream, or a frame that is cut off, gives another close event.
  const ends = naive.at(-1)?.startsWith('close') === true;
  expect(ends ? events : events.slice(0, naive.length)).toEqual(naive);
  if (!ends) expect(events.slice(naive.length)).toEqual([expect.stringMatching(/^close/)]);
}

/** The bytes in pieces of these lengths, in turn. */
function pieces(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = Math.max(1, lengths[i % lengths.length]!);
    chunks.push(bytes.slice(at, at + length));
    at += length;
  }
  return chunks;
}

describe('Endpoint and Conn report the same events for', () => {
  const file = join(import.meta.dirname, '../../fuzz/corpus/frame-stream.txt');
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  const inputs = lines.map((line) => line.split(' ') as [name: string, base64: string]);

  it('a corpus', () => {
    expect(inputs.length).toBeGreaterThan(40);
  });

  it.each(inputs)('the stream %s of the fuzz corpus', async (_, base64) => {
    const input = Buffer.from(base64, 'base64');
    // The target reads ten settings first: the lowest bit is the role.
    const role = (input[0]! & 1) === 1 ? 'client' : 'server';
    const bytes = Uint8Array.from(input.subarray(10));
    // The target appends bytes 0xff when the last byte is large, for large frames.
    const padded = new Uint8Array(bytes.length + 70_000).fill(0xff);
    padded.set(bytes);
    for (const readLimit of [4, 300, 65_536, 2 ** 24]) {
      for (const whole of [bytes, padded]) {
        for (const length of [1, 7, 4096, whole.length]) {
          if (whole.length / length > 3000) continue;
          await compare({ role, readLimit, chunks: pieces(whole, [length]) });
        }
      }
    }
  });

  const frame = fc
    .record({
      opcode: fc.constantFrom(0, 0, 1, 1, 2, 2, 8, 9, 10, 3),
      fin: fc.boolean(),
      rsv: fc.constantFrom(0, 0, 0, 0, 0, 0, 0x40),
      payload: fc.oneof(
        fc.constantFrom('', 'a', '\u20ac', '\x03\xe8', '\x03\xe9bye'),
        fc.nat(400).map((length) => 'x'.repeat(length)),
      ),
      latin1: fc.boolean(),
      wrongMask: fc.constantFrom(...Array<boolean>(19).fill(false), true),
    })
    .map(({ opcode, fin, rsv, payload, latin1, wrongMask }) => (role: Role): Uint8Array => {
      const bytes = Uint8Array.from(Buffer.from(payload, latin1 ? 'latin1' : 'utf8'));
      return encodeFrame(opcode, opcode >= 8 ? bytes.subarray(0, 125) : bytes, {
        fin: fin || opcode >= 8,
        rsv,
        ...((role === 'server') === wrongMask ? {} : { maskKey: 0x37fa213d }),
      });
    });

  const noise = fc.uint8Array({ maxLength: 9 }).map((bytes) => () => bytes);

  it('generated streams', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<Role>('client', 'server'),
        fc.constantFrom(4, 300, 2 ** 20),
        fc.array(fc.oneof({ weight: 19, arbitrary: frame }, noise), { maxLength: 10 }),
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 4 }),
        async (role, readLimit, frames, lengths) => {
          const bytes = Uint8Array.from(Buffer.concat(frames.map((make) => make(role))));
          await compare({ role, readLimit, chunks: pieces(bytes, lengths) });
        },
      ),
      { numRuns: Number(process.env['RUNS'] ?? 300) },
    );
  });
});
