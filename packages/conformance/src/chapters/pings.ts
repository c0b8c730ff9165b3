import { Chapter } from '../model/chapter.ts';
import type { TargetAttempt } from '../run/target-attempt.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  alive,
  closeCleanly,
  closePayload,
  eventWords,
  ping,
  wantAll,
  wantClosed,
  wantFailure,
  wantMessage,
  wantPong,
} from '../wire/expect.ts';
import {
  BINARY,
  bytesWords,
  CLOSE,
  CONTINUATION,
  opcodeName,
  PING,
  PONG,
  TEXT,
} from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';

/** Chapter 2: pings and pongs, for both roles. */
export function pings<Context extends TargetAttempt>(): Chapter<Context> {
  const chapter = new Chapter<Context>(2);
  payloads(chapter);
  several(chapter);
  unasked(chapter);
  amongMessages(chapter);
  tooLong(chapter);
  inPieces(chapter);
  return chapter;
}

function payloads(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.2 and 5.5.3',
    expects: 'a pong comes back with the same bytes',
  });
  const all: readonly (readonly [string, Buffer])[] = [
    ...[0, 1, 2, 4, 31, 64, 123, 124, 125].map(
      (size) => [`of ${bytesWords(size)}`, letters(size)] as const,
    ),
    ['of 125 zeros', Buffer.alloc(125)],
    ['of bytes that are not UTF-8', Buffer.from([0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff])],
    ['of all that is not ASCII', Buffer.from(Array.from({ length: 125 }, (_, at) => 0x80 + at))],
    ['that looks like a close code', Buffer.from([0x03, 0xe8])],
  ];
  for (const [title, payload] of all) {
    add(`a ping ${title}`, async (attempt) => {
      const peer = await attempt.open();
      await ping(peer, payload);
      await closeCleanly(peer);
    });
  }
}

function several(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({ section: 'RFC 6455, 5.5.3', expects: 'each ping is answered' });
  add('ten pings, each sent when the one before is answered', async (attempt) => {
    const peer = await attempt.open();
    for (let at = 0; at < 10; at++) await ping(peer, utf8(`ping ${at}`));
    await closeCleanly(peer);
  });
  add('two pings with the same bytes, one after the other', async (attempt) => {
    const peer = await attempt.open();
    await ping(peer, utf8('twin'));
    await ping(peer, utf8('twin'));
    await closeCleanly(peer);
  });
  for (const count of [2, 10, 100]) {
    add(
      `${count} pings in one segment`,
      async (attempt) => {
        const peer = await attempt.open();
        const sent = Array.from({ length: count }, (_, at) => utf8(`ping ${at}`));
        await peer.sendFrames(...sent.map((payload) => ({ opcode: PING, payload })));
        await wantLastPong(peer, sent);
        await closeCleanly(peer);
      },
      {
        expects: 'the last one is answered; of those before it any, in their order',
        // 10.4 allows limits, and a hundred pings at once are more than anybody needs.
        level: count < 100 ? 'must' : 'should',
      },
    );
  }
}

/** RFC 6455, 5.5.3: of pings that wait for an answer it may be the newest alone. */
async function wantLastPong(peer: Peer, sent: readonly Uint8Array[]): Promise<void> {
  let at = 0;
  while (at < sent.length) {
    const event = await peer.next('a pong');
    if (event.kind !== 'pong') peer.attempt.fail(`${eventWords(event)} came, where a pong was due`);
    const found = sent.findIndex((payload, index) => index >= at && event.payload.equals(payload));
    if (found === -1) peer.attempt.fail('a pong came that answers no ping, or comes out of order');
    at = found + 1;
  }
}

function unasked(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.3',
    expects: 'nothing comes back, and the connection works as before',
  });
  for (const size of [0, 1, 64, 125]) {
    add(`a pong of ${bytesWords(size)} that nobody asked for`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: PONG, payload: pattern(size) });
      await wantNothingBut(peer);
    });
  }
  add('ten pongs in one segment', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(
      ...Array.from({ length: 10 }, (_, at) => ({ opcode: PONG, payload: pattern(at) })),
    );
    await wantNothingBut(peer);
  });
  add(
    'a pong, then a ping with other bytes',
    async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(
        { opcode: PONG, payload: utf8('not asked for') },
        { opcode: PING, payload: utf8('asked') },
      );
      await wantPong(peer, utf8('asked'));
      await closeCleanly(peer);
    },
    { expects: 'the ping is answered, the pong is not' },
  );
}

/** A ping is answered at once, and what comes before its pong would be an answer to something else. */
async function wantNothingBut(peer: Peer): Promise<void> {
  await ping(peer, utf8('anything?'));
  await alive(peer);
  await closeCleanly(peer);
}

function amongMessages(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4 and 5.5',
    expects: 'the ping is answered, and the message comes back whole',
  });
  const message = { opcode: TEXT, payload: utf8('a message') };
  const question = { opcode: PING, payload: utf8('a ping') };
  const halves = [
    { opcode: TEXT, payload: utf8('a mess'), fin: false },
    { opcode: CONTINUATION, payload: utf8('age') },
  ] as const;
  const orders = [
    ['a ping before a message, in one segment', [question, message]],
    ['a ping after a message, in one segment', [message, question]],
    ['a ping between two fragments, in one segment', [halves[0], question, halves[1]]],
    [
      'an unasked pong between two fragments',
      [halves[0], { opcode: PONG, payload: utf8('x') }, question, halves[1]],
    ],
  ] as const;
  for (const [title, frames] of orders) {
    add(title, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(...frames);
      await wantAll(peer, [message], question.payload);
      await closeCleanly(peer);
    });
  }
  for (const [name, opcode] of [
    ['text', TEXT],
    ['binary', BINARY],
  ] as const) {
    add(
      `a ping between the fragments of a ${name} message, the last of which waits for the pong`,
      async (attempt) => {
        const peer = await attempt.open();
        await peer.sendFrames({ ...halves[0], opcode }, question);
        await wantPong(peer, question.payload);
        await peer.sendFrames(halves[1]);
        await wantMessage(peer, opcode, message.payload);
        await closeCleanly(peer);
      },
      { expects: 'the ping is answered before the message is whole', level: 'should' },
    );
  }
  add(
    'a ping and a close frame in one segment',
    async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(question, { opcode: CLOSE, payload: closePayload(1000) });
      await wantClosed(peer, 1000);
    },
    { section: 'RFC 6455, 5.5.2', expects: 'the closing is answered; the ping may be' },
  );
  add(
    'a ping after a close frame',
    async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000) }, question);
      await wantClosed(peer, 1000);
    },
    { section: 'RFC 6455, 5.5.1', expects: 'the closing is answered, and nothing after it' },
  );
}

function tooLong(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5',
    expects: 'the connection is failed with 1002: a control frame has at most 125 bytes',
  });
  for (const opcode of [PING, PONG]) {
    for (const size of [126, 127, 1000, 65_536]) {
      add(`a ${opcodeName(opcode)} of ${bytesWords(size)}`, async (attempt) => {
        const peer = await attempt.open();
        await peer.sendFrames({ opcode, payload: letters(size) });
        await wantFailure(peer, [1002], 'the control frame is too long');
      });
    }
    add(`a ${opcodeName(opcode)} that is not final`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode, payload: utf8('half'), fin: false });
      await wantFailure(peer, [1002], 'a control frame must not be fragmented');
    });
    add(`a ${opcodeName(opcode)} in two fragments`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(
        { opcode, payload: utf8('half'), fin: false },
        { opcode: CONTINUATION, payload: utf8('half') },
      );
      await wantFailure(peer, [1002], 'a control frame must not be fragmented');
    });
  }
}

function inPieces(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.3',
    expects: 'a pong comes back with the same bytes',
  });
  for (const [size, piece] of [
    [0, 1],
    [5, 1],
    [125, 1],
    [125, 7],
    [125, 60],
  ] as const) {
    add(`a ping of ${bytesWords(size)}, in pieces of ${bytesWords(piece)}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFramesCut([{ opcode: PING, payload: pattern(size) }], piece);
      await wantPong(peer, pattern(size));
      await closeCleanly(peer);
    });
  }
}
