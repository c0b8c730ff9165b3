import type { TargetAttempt } from '../attempts/target-attempt.ts';
import type { AddCase, Chapter } from '../model/chapter.ts';
import { INVALID_PAYLOADS } from '../tables/deflate-payloads.ts';
import { INVALID_TEXTS, VALID_TEXTS } from '../tables/utf8-texts.ts';
import { letters, noise } from '../wire/bytes.ts';
import {
  closeCleanly,
  expectFailure,
  expectMessage,
  expectMessageOrTooBig,
} from '../wire/expect.ts';
import { BINARY, bytesText, RSV1, TEXT } from '../wire/frame.ts';
import { compressedFrame } from './compressed.ts';
import { fragments } from './fragments.ts';

/** Accepted close codes for invalid DEFLATE data. RFC 7692 defines none. */
const BAD_DATA_CODES = [1007, 1002];

/** Adds sections about the contents of compressed messages: invalid data, texts, large messages. */
export function compressedContents(chapter: Chapter<TargetAttempt>): void {
  broken(chapter);
  texts(chapter);
  badTexts(chapter);
  large(chapter);
}

function broken(chapter: Chapter<TargetAttempt>): void {
  for (const fragmented of [false, true]) {
    const add = chapter.section({
      section: 'RFC 7692, 6.2 and 7.2.2',
      expects: 'the target fails the connection: the DEFLATE data is invalid',
    });
    for (const [title, payload] of INVALID_PAYLOADS) {
      add(`${title}${fragmented ? ', in two fragments' : ''}`, async (attempt) => {
        const peer = await attempt.openDeflate();
        const sizes = fragmented ? [1, payload.length - 1] : [payload.length];
        const [first, ...rest] = fragments(BINARY, payload, sizes);
        await peer.sendFrames({ ...first!, rsv: RSV1 }, ...rest);
        await expectFailure(peer, BAD_DATA_CODES, 'the DEFLATE data is invalid');
      });
    }
  }
}

function texts(chapter: Chapter<TargetAttempt>): void {
  const good = chapter.section({ section: 'RFC 6455, 5.6', expects: 'the same text comes back' });
  for (const { title, bytes } of VALID_TEXTS.slice(-8)) {
    good(`a compressed text: ${title}`, async (attempt) => {
      const peer = await attempt.openDeflate();
      await peer.sendFrames(compressedFrame(peer, TEXT, bytes));
      await expectMessage(peer, TEXT, bytes);
      await closeCleanly(peer);
    });
  }
}

function badTexts(chapter: Chapter<TargetAttempt>): void {
  const bad = chapter.section({
    section: 'RFC 6455, 8.1; RFC 7692, 6.2',
    expects: 'the target fails the connection with 1007: the inflated text is not UTF-8',
  });
  for (const { title, bytes } of INVALID_TEXTS.filter((_, at) => at % 4 === 0)) {
    bad(`a compressed text with ${title}`, async (attempt) => {
      const peer = await attempt.openDeflate();
      await peer.sendFrames(compressedFrame(peer, TEXT, Buffer.concat([letters(200), bytes])));
      await expectFailure(peer, [1007], 'the text is not UTF-8');
    });
  }
  invalidBinary(bad);
}

/** Adds a binary message, which may contain invalid UTF-8. */
function invalidBinary(bad: AddCase<TargetAttempt>): void {
  bad(
    'invalid UTF-8 in a compressed binary message',
    async (attempt) => {
      const peer = await attempt.openDeflate();
      const bytes = Buffer.concat(INVALID_TEXTS.map((text) => text.bytes));
      await peer.sendFrames(compressedFrame(peer, BINARY, bytes));
      await expectMessage(peer, BINARY, bytes);
      await closeCleanly(peer);
    },
    { section: 'RFC 6455, 5.6', expects: 'the same bytes come back' },
  );
}

/** Contents of a large message. */
const CONTENTS = [
  ['zeros', (size: number) => Buffer.alloc(size)],
  ['text', letters],
  ['noise', noise],
] as const;

function large(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 8; RFC 6455, 7.4.1',
    expects: 'the message comes back, or the target fails the connection with 1009',
  });
  for (const [name, make] of CONTENTS) {
    for (const size of [512 * 1024, 1024 * 1024, 2 * 1024 * 1024]) {
      add(`a compressed message of ${bytesText(size)} of ${name}`, async (attempt) => {
        const peer = await attempt.openDeflate();
        await peer.sendFrames(compressedFrame(peer, BINARY, make(size)));
        await expectMessageOrTooBig(peer, BINARY, make(size));
      });
    }
  }
}
