// An Endpoint and a Conn report the same for every stream: two implementations of RFC 6455.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Endpoint, type EndpointEvent, encodeFrame, type Role, TextMessage } from '@ws/codec';
import { Conn } from '@ws/conn';
import { TestTransport } from '@ws/tests';
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

async function compare(stream: Stream): Promise<void> {
  expect(await connEvents(stream)).toEqual(endpointEvents(stream));
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
  const folder = join(import.meta.dirname, '../../fuzz/corpus/frame-stream');
  const names = readdirSync(folder);

  it('a corpus', () => {
    expect(names.length).toBeGreaterThan(40);
  });

  it.each(names)('the stream %s of the fuzz corpus', async (name) => {
    const input = readFileSync(join(folder, name));
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
      { numRuns: 1000 },
    );
  });
});
