import type { Chapter } from '../model/chapter.ts';
import type { TargetAttempt } from '../run/target-attempt.ts';
import { BROKEN_PAYLOADS } from '../tables/deflate-payloads.ts';
import { INVALID_TEXTS, VALID_TEXTS } from '../tables/utf8-texts.ts';
import { letters, noise } from '../wire/bytes.ts';
import { closeCleanly, wantFailure, wantMessage, wantMessageOrTooBig } from '../wire/expect.ts';
import { BINARY, bytesWords, RSV1, TEXT } from '../wire/frame.ts';
import { fragments } from './fragmentation.ts';
import { packed } from './packed.ts';

/** What is no DEFLATE data may be told by either: RFC 7692 names no code. */
const BAD_DATA = [1007, 1002];

/** Sections of what compressed messages hold: bad data, texts, and too much of it. */
export function packedContents(chapter: Chapter<TargetAttempt>): void {
  broken(chapter);
  texts(chapter);
  large(chapter);
}

function broken(chapter: Chapter<TargetAttempt>): void {
  for (const fragmented of [false, true]) {
    const add = chapter.section({
      section: 'RFC 7692, 6.2 and 7.2.2',
      expects: 'the connection is failed: this is no DEFLATE data',
    });
    for (const [says, payload] of BROKEN_PAYLOADS) {
      add(`${says}${fragmented ? ', in two fragments' : ''}`, async (attempt) => {
        const peer = await attempt.openDeflate({ takeover: false });
        const sizes = fragmented ? [1, payload.length - 1] : [payload.length];
        const [first, ...rest] = fragments(BINARY, payload, sizes);
        await peer.sendFrames({ ...first!, rsv: RSV1 }, ...rest);
        await wantFailure(peer, BAD_DATA, 'this is no DEFLATE data');
      });
    }
  }
}

function texts(chapter: Chapter<TargetAttempt>): void {
  const good = chapter.section({ section: 'RFC 6455, 5.6', expects: 'the same text comes back' });
  for (const { says, bytes } of VALID_TEXTS.slice(-8)) {
    good(`a compressed text: ${says}`, async (attempt) => {
      const peer = await attempt.openDeflate();
      await peer.sendFrames(packed(peer, TEXT, bytes));
      await wantMessage(peer, TEXT, bytes);
      await closeCleanly(peer);
    });
  }
  const bad = chapter.section({
    section: 'RFC 6455, 8.1; RFC 7692, 6.2',
    expects: 'the connection is failed with 1007: the inflated text is not UTF-8',
  });
  for (const { says, bytes } of INVALID_TEXTS.filter((_, at) => at % 4 === 0)) {
    bad(`a compressed text with ${says}`, async (attempt) => {
      const peer = await attempt.openDeflate();
      await peer.sendFrames(packed(peer, TEXT, Buffer.concat([letters(200), bytes])));
      await wantFailure(peer, [1007], 'the text is not UTF-8');
    });
  }
  bad(
    'what is no text, in a compressed binary message',
    async (attempt) => {
      const peer = await attempt.openDeflate();
      const bytes = Buffer.concat(INVALID_TEXTS.map((text) => text.bytes));
      await peer.sendFrames(packed(peer, BINARY, bytes));
      await wantMessage(peer, BINARY, bytes);
      await closeCleanly(peer);
    },
    { section: 'RFC 6455, 5.6', expects: 'the same bytes come back' },
  );
}

function large(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 8; RFC 6455, 7.4.1',
    expects: 'the message comes back, or 1009 says that it is too large',
  });
  for (const [name, make] of [
    ['zeros', (size: number) => Buffer.alloc(size)],
    ['text', letters],
    ['noise', noise],
  ] as const) {
    for (const size of [512 * 1024, 1024 * 1024, 2 * 1024 * 1024]) {
      add(`a compressed message of ${bytesWords(size)} of ${name}`, async (attempt) => {
        const peer = await attempt.openDeflate();
        await peer.sendFrames(packed(peer, BINARY, make(size)));
        await wantMessageOrTooBig(peer, BINARY, make(size));
      });
    }
  }
}
