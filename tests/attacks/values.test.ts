import {
  BinaryMessage,
  type CloseInfo,
  Conn,
  formatCloseMessage,
  JSONError,
  Message,
  PingMessage,
  type Platform,
  PreparedMessage,
  portablePlatform,
  TextMessage,
} from '@ws/conn';
import { nodePlatform } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { FakePlatform, turn } from '../kit/fake-platform.ts';
import { naiveDecode } from '../kit/naive-decoder.ts';
import { Random } from '../kit/random.ts';
import { TestTransport } from '../kit/test-transport.ts';
import { claim, survives } from './harness/index.ts';
import { frame } from './target-conn.ts';

/** Returns a server in memory. The test plays its peer. */
function server(platform: Platform = new FakePlatform()): { conn: Conn; transport: TestTransport } {
  const transport = new TestTransport();
  return { transport, conn: new Conn(transport, { role: 'server', heartbeat: false, platform }) };
}

describe('a text that is too long for a string', () => {
  it('is an error of the caller, and the process continues', async () => {
    // One byte more than a string of V8 can hold. The pages are never written, so they cost
    // nothing.
    const bytes = new Uint8Array(2 ** 29);
    let tooLong: unknown;
    try {
      new Message(TextMessage, bytes, nodePlatform).text();
    } catch (error) {
      tooLong = error;
    }
    // A text of one byte causes the same error.
    const failing = new FakePlatform();
    failing.decodeUtf8 = () => {
      throw tooLong;
    };
    // The caller gets Node's error. A `receive` handler that throws it closes with 1011.
    const attack = claim('a text longer than a string can be', 'CWE-770');
    await survives(attack, { code: 'ERR_STRING_TOO_LONG' }, async () => {
      const codes = new Set<unknown>();
      const failsWith = (error: unknown): void => {
        expect(error).toBeInstanceOf(Error);
        codes.add((error as NodeJS.ErrnoException).code);
      };
      const { conn, transport } = server(failing);
      transport.feed(frame('server', TextMessage, '1'));
      await conn.readJSON().catch(failsWith);
      expect(conn.state).toBe('open');
      await turn();
      transport.feed(frame('server', TextMessage, '1'));
      await conn.receive((borrowed) => void borrowed.text()).catch(failsWith);
      const { code }: CloseInfo = await ended(conn, transport);
      expect(code).toBe(1011);
      return { code: [...codes].join(' ') };
    });
  });
});

async function ended(conn: Conn, transport: TestTransport): Promise<CloseInfo> {
  transport.break();
  return conn.closed;
}

/** Returns random code units. Half of them are lone surrogates. */
function unpaired(random: Random, length: number): string {
  let text = '';
  for (let i = 0; i < length; i++) {
    const unit = random.below(2) === 0 ? 0xd800 + random.below(0x800) : random.below(0x300);
    text += String.fromCharCode(unit);
  }
  return text;
}

it('a lone surrogate is sent as U+FFFD by every method', async () => {
  const random = new Random(122);
  const lengths = [...Array.from({ length: 50 }, (_, i) => 1 + i), 2_999, 3_001];
  const texts = ['\ud800', '\udfff', '\udc00\ud800', ...lengths.map((n) => unpaired(random, n))];
  // The replacements of a browser.
  const expected = texts.map((text) => new TextDecoder().decode(new TextEncoder().encode(text)));
  const attack = claim('lone surrogates in what is sent', 'RFC 6455, 8.1');
  await survives(attack, { invalid: 0 }, async (watch) => {
    let invalid = 0;
    let replaced = 0;
    for (const platform of [nodePlatform, portablePlatform]) {
      const { conn, transport } = server(platform);
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

/** Returns the sent messages, with joined fragments, and the number that is not UTF-8. */
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

it('JSON from the peer is a value or an error, and neither crashes nor pollutes', async () => {
  const deep = '['.repeat(100_000);
  const bad = [
    ['NaN', 'bare', '', '{', '{"a":1} x', deep, '{"a":'.repeat(100_000)],
    ['\ufeff', "{'a':1}", '1e'],
  ].flat();
  const good = [
    '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}',
    '{"a":{"__proto__":{"polluted":true}}}',
    deep + ']'.repeat(100_000),
  ];
  const chunks = [...bad, ...good].map((text) => frame('server', TextMessage, text));
  // V8 parses 100,000 levels and throws when it writes them: a JSONError.
  const attack = claim('JSON with __proto__ keys, deep nesting and invalid values', 'CWE-1321');
  await survives(attack, { pollution: 'no pollution by us' }, async (watch) => {
    const { conn, transport } = server();
    let rejected = 0;
    for (const chunk of chunks) {
      watch.sent(chunk.length);
      transport.feed(chunk);
      const outcome = await conn.readJSON().catch((error: unknown) => error);
      if (outcome instanceof JSONError) rejected++;
      await turn();
    }
    // V8 can read deeper values than it can write.
    let nested: unknown = [];
    for (let i = 0; i < 100_000; i++) nested = [nested];
    await expect(conn.writeJSON(nested)).rejects.toBeInstanceOf(JSONError);
    expect(conn.state).toBe('open');
    const { polluted } = {} as { polluted?: boolean };
    transport.feed(frame('server', BinaryMessage, '{"still":"here"}'));
    await expect(conn.readJSON()).resolves.toEqual({ still: 'here' });
    await ended(conn, transport);
    expect(rejected).toBe(bad.length);
    return { pollution: polluted === undefined ? 'no pollution by us' : 'polluted' };
  });
});
