import type { TargetAttempt } from '../attempts/target-attempt.ts';
import type { Chapter } from '../model/chapter.ts';
import { bitmap, html, json, pdf, prose, slices } from '../tables/real-data.ts';
import { noise } from '../wire/bytes.ts';
import type { SentMessage } from '../wire/expect.ts';
import { BINARY, bytesText, TEXT } from '../wire/frame.ts';
import { openWithHistory } from './compressed.ts';
import { addCompressed, type CompressedRow } from './rows.ts';
import { thousands } from './thousand-messages.ts';

/** Adds sections with long conversations of compressed messages. */
export function compressedData(chapter: Chapter<TargetAttempt>): void {
  realData(chapter);
  inFragments(chapter);
  distances(chapter);
}

const KINDS = [
  ['JSON', TEXT, json],
  ['prose', TEXT, prose],
  ['HTML', TEXT, html],
  ['a bitmap', BINARY, bitmap],
] as const;

/** Adds sections with as many messages as Autobahn sends. Each case takes seconds. */
export function compressedThousands(chapter: Chapter<TargetAttempt>): void {
  for (const [name, opcode, make] of [...KINDS, ['a PDF', BINARY, pdf] as const]) {
    const add = chapter.section({ ...ECHOED, flood: true });
    addCompressed(add, thousands(name, opcode, make), (attempt) => attempt.openDeflate());
  }
}

/** Numbers of messages, and their sizes in bytes. */
const COUNTS = [
  [200, 16],
  [200, 256],
  [100, 1024],
  [20, 4096],
  [10, 32_768],
  [3, 131_072],
] as const;

const ECHOED = {
  section: 'RFC 7692, 6 and 7.2',
  expects: 'each message comes back, compressed or not',
};

function realData(chapter: Chapter<TargetAttempt>): void {
  for (const [name, opcode, make] of KINDS) {
    const rows = COUNTS.map(
      ([count, size]): CompressedRow => ({
        title: `${count} compressed messages of ${bytesText(size)} of ${name}`,
        messages: () => messagesOf(opcode, slices(make, size, count)),
      }),
    );
    addCompressed(chapter.section(ECHOED), rows, (attempt) => attempt.openDeflate());
  }
}

function inFragments(chapter: Chapter<TargetAttempt>): void {
  const rows = [64, 256, 1024].map(
    (fragment): CompressedRow => ({
      title: `10 compressed messages of 32768 bytes of JSON, in fragments of ${bytesText(fragment)}`,
      messages: () => messagesOf(TEXT, slices(json, 32_768, 10)),
      fragment,
    }),
  );
  rows.push({
    title: '1000 compressed messages of 100 bytes of JSON, in fragments of 16 bytes',
    messages: () => messagesOf(TEXT, slices(json, 100, 1000)),
    fragment: 16,
  });
  addCompressed(chapter.section(ECHOED), rows, (attempt) => attempt.openDeflate());
}

function* messagesOf(opcode: number, payloads: Iterable<Buffer>): Generator<SentMessage> {
  for (const payload of payloads) yield { opcode, payload };
}

/** Messages that repeat an earlier one as far back as a window of 32 KiB reaches. */
function distances(chapter: Chapter<TargetAttempt>): void {
  const rows = [31_000, 32_400, 32_768].map((period) => repeating(period));
  addCompressed(chapter.section(ECHOED), rows, openWithHistory);
}

/** 100 messages, an eighth of `period` each, of the same bytes again and again. */
export function repeating(period: number): CompressedRow {
  return {
    title: `100 compressed messages that repeat the bytes ${period} before them`,
    *messages() {
      const bytes = noise(period);
      const size = period / 8;
      for (let at = 0; at < 100; at++) {
        const start = (at % 8) * size;
        yield { opcode: BINARY, payload: bytes.subarray(start, start + size) };
      }
    },
  };
}
