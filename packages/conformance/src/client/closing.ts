import type { Chapter } from '../model/chapter.ts';
import { Violation } from '../model/verdicts.ts';
import type { ClientAttempt } from '../run/client-attempt.ts';
import { letters, utf8 } from '../wire/bytes.ts';
import { alive, closePayload, eventWords, wantMessage } from '../wire/expect.ts';
import { BINARY, CLOSE, CONTINUATION, type FrameSpec, PING, TEXT } from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';

/** Milliseconds for which the end of the connection is left to us. */
const HELD_BACK = 200;
const GOODBYE: FrameSpec = { opcode: CLOSE, payload: closePayload(1000) };

/** Adds to chapter 7 what only a client does: it leaves the end of the connection to the server. */
export function clientClosing(chapter: Chapter<ClientAttempt>): Chapter<ClientAttempt> {
  serverFirst(chapter);
  atOnce(chapter);
  neverClosed(chapter);
  failed(chapter);
  stopped(chapter);
  return chapter;
}

/** Sends frames, the last a close frame, and reads its answer. */
async function goodbye(peer: Peer, ...frames: readonly FrameSpec[]): Promise<void> {
  await peer.sendFrames(...frames);
  const awaited = 'the answer to our close frame';
  let event = await peer.next(awaited);
  while (event.kind === 'pong') event = await peer.next(awaited);
  if (event.kind !== 'close') {
    throw new Violation(`${eventWords(event)} came, where ${awaited} was due (5.5.1)`);
  }
}

async function wantOnlyEnd(peer: Peer): Promise<void> {
  const event = await peer.next('the end of the connection');
  if (event.kind !== 'end')
    throw new Violation(`${eventWords(event)} came, where the end was due (5.5.1)`);
}

/** Who leaves the end of the connection to the server says nothing for a while. */
async function wantPatience(peer: Peer): Promise<void> {
  const event = await peer.nextWithin('nothing', HELD_BACK);
  if (event === undefined) return;
  if (event.kind !== 'end') throw new Violation(`${eventWords(event)} came after the close frame`);
  throw new Violation('the client ended the connection before the server did (7.1.1)');
}

function serverFirst(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 7.1.1',
    level: 'should',
    expects: 'the client leaves it to the server to end the connection first, and ends it then',
  });
  const closes: readonly (readonly [string, readonly FrameSpec[]])[] = [
    ['a close frame with 1000', [GOODBYE]],
    ['a close frame without a code', [{ opcode: CLOSE }]],
    ['a close frame with 1001', [{ opcode: CLOSE, payload: closePayload(1001) }]],
    ['a close frame with 1011', [{ opcode: CLOSE, payload: closePayload(1011, 'sorry') }]],
    ['a close frame with 4999', [{ opcode: CLOSE, payload: closePayload(4999) }]],
    [
      'a close frame in an unfinished message',
      [{ opcode: TEXT, payload: utf8('un'), fin: false }, GOODBYE],
    ],
  ];
  for (const [title, frames] of closes) {
    add(`${title}, and for a while no end of the connection`, async (attempt) => {
      const peer = await attempt.open();
      await goodbye(peer, ...frames);
      await wantPatience(peer);
      peer.endWrites();
      await wantOnlyEnd(peer);
    });
  }
  add(
    'a close frame after a message, and for a while no end of the connection',
    async (attempt) => {
      const peer = await attempt.open();
      await alive(peer);
      await goodbye(peer, GOODBYE);
      await wantPatience(peer);
      peer.endWrites();
      await wantOnlyEnd(peer);
    },
  );
}

function atOnce(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.1 and 7.1.1',
    expects: 'the client answers as far as it can, and ends the connection',
  });
  add('a close frame, its answer, and the end at once', async (attempt) => {
    const peer = await attempt.open();
    await goodbye(peer, GOODBYE);
    peer.endWrites();
    await wantOnlyEnd(peer);
  });
  add('a message, a close frame and the end of our half in one segment', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: TEXT, payload: utf8('last') }, GOODBYE);
    peer.endWrites();
    await wantMessage(peer, TEXT, utf8('last'));
    const event = await peer.next('the answer to our close frame');
    if (event.kind === 'close') await wantOnlyEnd(peer);
    else if (event.kind !== 'end') throw new Violation(`${eventWords(event)} came`);
  });
  for (const [title, frames] of [
    ['without a close frame', []],
    ['after a close frame that nobody can answer', [GOODBYE]],
    ['within a message', [{ opcode: TEXT, payload: utf8('un'), fin: false }]],
  ] as const) {
    add(
      `a reset ${title}`,
      async (attempt) => {
        const peer = await attempt.open();
        await alive(peer);
        if (frames.length > 0) await peer.sendFrames(...frames);
        peer.reset();
      },
      { expects: 'the client survives, and comes for the next case', section: 'RFC 6455, 7.1.5' },
    );
  }
}

/** Waits long for what a client does when its own patience is over. */
async function wantOwnEnd(peer: Peer): Promise<void> {
  const event = await peer.nextWithin('the end of the connection', 2 * peer.attempt.timeout);
  if (event === undefined) {
    throw new Violation(
      `the client still held the connection after ${2 * peer.attempt.timeout} ms; who never ends it holds it for ever`,
    );
  }
  if (event.kind !== 'end') throw new Violation(`${eventWords(event)} came after the close frame`);
}

function neverClosed(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 7.1.1',
    level: 'should',
    expects: 'after a reasonable time the client ends the connection itself',
  });
  add('a server that never ends the connection after both close frames', async (attempt) => {
    const peer = await attempt.open();
    await goodbye(peer, GOODBYE);
    await wantOwnEnd(peer);
  });
}

const BROKEN: readonly (readonly [string, readonly FrameSpec[]])[] = [
  ['a masked frame', [{ opcode: TEXT, payload: utf8('no'), mask: Buffer.from([1, 2, 3, 4]) }]],
  ['a reserved opcode', [{ opcode: 3 }]],
  ['RSV3', [{ opcode: TEXT, rsv: 1 }]],
  ['a text that is not UTF-8', [{ opcode: TEXT, payload: Buffer.from([0xff]) }]],
  ['a continuation of nothing', [{ opcode: CONTINUATION, payload: utf8('no') }]],
  ['a close frame of one byte', [{ opcode: CLOSE, payload: Buffer.from([3]) }]],
];

function failed(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 7.1.7',
    expects: 'the client ends the connection, though its close frame is not answered',
  });
  // Each waits as long as the client does, and so only one of them is asked.
  const [title, frames] = BROKEN[1]!;
  add(`${title}, to a server that answers no close frame and ends nothing`, async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(...frames);
    const event = await peer.next('a failed connection');
    if (event.kind === 'end') return;
    if (event.kind !== 'close') throw new Violation(`${eventWords(event)} came`);
    await wantOwnEnd(peer);
  });
}

function stopped(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 7.1.7',
    expects: 'nothing that comes after the fault is answered',
  });
  const after: readonly FrameSpec[] = [
    { opcode: TEXT, payload: utf8('too late') },
    { opcode: PING, payload: utf8('too late') },
    { opcode: BINARY, payload: letters(2000) },
  ];
  for (const [title, frames] of BROKEN) {
    add(`${title}, and messages and a ping behind it in the same segment`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(...frames, ...after);
      await wantNothingAnswered(peer);
    });
    add(`${title}, and messages and a ping after the client has failed`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(...frames);
      const event = await peer.next('a failed connection');
      if (event.kind === 'end') return;
      if (event.kind !== 'close') throw new Violation(`${eventWords(event)} came`);
      await peer.sendFrames(...after);
      peer.endWrites();
      await wantOnlyEnd(peer);
    });
  }
}

/** Ends our half after the close frame, if there is one. */
async function wantNothingAnswered(peer: Peer): Promise<void> {
  const event = await peer.next('a failed connection');
  if (event.kind === 'end') return;
  if (event.kind !== 'close') {
    throw new Violation(`${eventWords(event)} came, where the connection had to be failed`);
  }
  peer.endWrites();
  await wantOnlyEnd(peer);
}
