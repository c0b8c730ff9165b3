import {
  BinaryMessage,
  type CloseInfo,
  Conn,
  formatCloseMessage,
  type Host,
  JSONError,
  Message,
  PingMessage,
  PreparedMessage,
  portableHost,
  TextMessage,
} from '@ws/conn';
import { nodeHost } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { FakeHost, turn } from '../../src/fake-host.ts';
import { survives } from '../../src/hostile/index.ts';
import { naiveDecode } from '../../src/naive-decoder.ts';
import { naiveEncode } from '../../src/naive-encoder.ts';
import { Random } from '../../src/random.ts';
import { TestTransport } from '../../src/test-transport.ts';

const KEY = { mask: 0x01020304 };
const frame = (opcode: number, text: string): Uint8Array =>
  naiveEncode(opcode, Buffer.from(text), KEY);

/** A server in memory, with a peer that the test plays. */
function server(host: Host = new FakeHost()): { conn: Conn; transport: TestTransport } {
  const transport = new TestTransport();
  return { transport, conn: new Conn(transport, { role: 'server', heartbeat: false, host }) };
}

describe('a text that is too long for a string', () => {
  it('is an error of whoever asks for it, and the process goes on', async () => {
    // One byte more than V8 puts into a string; the pages are never written to, and so cost nothing.
    const bytes = new Uint8Array(2 ** 29);
    let tooLong: unknown;
    try {
      new Message(TextMessage, bytes, nodeHost).text();
    } catch (error) {
      tooLong = error;
    }
    // What comes of it is tried with a text of one byte.
    const failing = new FakeHost();
    failing.decodeUtf8 = () => {
      throw tooLong;
    };
    await survives(121, async () => {
      const codes = new Set<unknown>();
      const failsWith = (error: unknown): void => {
        expect(error).toBeInstanceOf(Error);
        codes.add((error as NodeJS.ErrnoException).code);
      };
      const { conn, transport } = server(failing);
      transport.feed(frame(TextMessage, '1'));
      await conn.readJSON().catch(failsWith);
      expect(conn.state).toBe('open');
      await turn();
      transport.feed(frame(TextMessage, '1'));
      await conn.receive((borrowed) => void borrowed.text()).catch(failsWith);
      const { code }: CloseInfo = await ended(conn, transport);
      expect(code).toBe(1011);
      return { code: [...codes].join(' ') };
    });
  });
});

/** The peer has gone. */
async function ended(conn: Conn, transport: TestTransport): Promise<CloseInfo> {
  transport.break();
  return conn.closed;
}

/** Text of code units at random, half of them halves of a surrogate pair. */
function unpaired(random: Random, length: number): string {
  let text = '';
  for (let i = 0; i < length; i++) {
    const unit = random.below(2) === 0 ? 0xd800 + random.below(0x800) : random.below(0x300);
    text += String.fromCharCode(unit);
  }
  return text;
}

describe('a lone surrogate', () => {
  it('leaves as U+FFFD, in whatever is sent', async () => {
    const random = new Random(122);
    const lengths = [...Array.from({ length: 50 }, (_, i) => 1 + i), 2_999, 3_001];
    const texts = ['\ud800', '\udfff', '\udc00\ud800', ...lengths.map((n) => unpaired(random, n))];
    // What browsers make of them.
    const expected = texts.map((text) => new TextDecoder().decode(new TextEncoder().encode(text)));
    await survives(122, async (watch) => {
      let invalid = 0;
      let replaced = 0;
      for (const host of [nodeHost, portableHost]) {
        const { conn, transport } = server(host);
        for (const [i, text] of texts.entries()) {
          const sent = [expected[i]!, expected[i]!, expected[i]!];
          void conn.send(text);
          void conn.writePreparedMessage(new PreparedMessage(TextMessage, text));
          void conn.nextWriter(TextMessage).then(async (writer) => {
            await writer.write(text);
            await writer.close();
          });
          if (text.length <= 41) {
            void conn.writeControl(PingMessage, text);
            sent.push(expected[i]!);
          }
          await turn();
          await turn();
          const bytes = transport.takeSent();
          watch.sent(bytes.length);
          const { messages, failed } = readable(bytes);
          invalid += failed;
          replaced += messages.filter((message) => sent.includes(message)).length;
          expect(messages).toHaveLength(sent.length);
          if (text.length <= 41) {
            const close = formatCloseMessage(1000, text);
            expect(new TextDecoder('utf-8', { fatal: true }).decode(close.subarray(2))).toBe(
              expected[i],
            );
          }
        }
        await ended(conn, transport);
      }
      const short = texts.filter((text) => text.length <= 41).length;
      expect(replaced).toBe(2 * (3 * texts.length + short));
      return { invalid };
    });
  });
});

/** The messages in what was sent, fragments joined, and how many of them are no UTF-8. */
function readable(bytes: Uint8Array): { messages: string[]; failed: number } {
  const messages: string[] = [];
  let failed = 0;
  let parts: Uint8Array[] = [];
  for (const { opcode, fin, payload } of naiveDecode(bytes, 'client').frames) {
    const control = opcode >= 8;
    const all = control ? [payload] : [...parts, payload];
    if (!control) parts = fin ? [] : all;
    if (!fin) continue;
    const whole = Buffer.concat(all);
    try {
      messages.push(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(whole));
    } catch {
      failed++;
    }
  }
  return { messages, failed };
}

describe('JSON from the peer', () => {
  it('is a value or an error, and neither crashes nor pollutes', async () => {
    const deep = '['.repeat(100_000);
    const bad = [
      'NaN',
      'bare',
      '',
      '{',
      '{"a":1} x',
      deep,
      '{"a":'.repeat(100_000),
      '\ufeff',
      "{'a':1}",
      '1e',
    ];
    const good = [
      '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}',
      '{"a":{"__proto__":{"polluted":true}}}',
      deep + ']'.repeat(100_000),
    ];
    const chunks = [...bad, ...good].map((text) => frame(TextMessage, text));
    await survives(123, async (watch) => {
      const { conn, transport } = server();
      let rejected = 0;
      for (const chunk of chunks) {
        watch.sent(chunk.length);
        transport.feed(chunk);
        const outcome = await conn.readJSON().catch((error: unknown) => error);
        if (outcome instanceof JSONError) rejected++;
        await turn();
      }
      // V8's limit is met by writing: what it reads it may not be able to write.
      let nested: unknown = [];
      for (let i = 0; i < 100_000; i++) nested = [nested];
      await expect(conn.writeJSON(nested)).rejects.toBeInstanceOf(JSONError);
      expect(conn.state).toBe('open');
      const { polluted } = {} as { polluted?: boolean };
      transport.feed(frame(BinaryMessage, '{"still":"here"}'));
      await expect(conn.readJSON()).resolves.toEqual({ still: 'here' });
      await ended(conn, transport);
      expect(rejected).toBe(bad.length);
      return { pollution: polluted === undefined ? 'no pollution by us' : 'polluted' };
    });
  });
});
