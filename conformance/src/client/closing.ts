import type { ClientAttempt } from '../attempts/client-attempt.ts';
import type { AddCase, Chapter } from '../model/chapter.ts';
import { Violation } from '../model/verdicts.ts';
import { letters, utf8 } from '../wire/bytes.ts';
import { checkAlive, closePayload, eventText } from '../wire/expect.ts';
import { BINARY, CLOSE, CONTINUATION, type FrameSpec, PING, TEXT } from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';

/** Delay in ms before the suite ends the connection. */
const HOLD_TIME = 200;
const CLOSE_FRAME: FrameSpec = { opcode: CLOSE, payload: closePayload(1000) };

/** Adds sections to chapter 7 that apply to clients only, such as waiting for the server's FIN. */
export function clientClosing(chapter: Chapter<ClientAttempt>): Chapter<ClientAttempt> {
  serverFirst(chapter);
  atOnce(chapter);
  neverClosed(chapter);
  failed(chapter);
  stopped(chapter);
  return chapter;
}

/** Sends frames that end with a close frame, and waits for the answering close frame. */
async function closeFromServer(peer: Peer, ...frames: readonly FrameSpec[]): Promise<void> {
  await peer.sendFrames(...frames);
  const awaited = 'the answer to our close frame';
  const event = await peer.next(awaited);
  if (event.kind !== 'close') {
    throw new Violation(`received ${eventText(event)}, expected ${awaited} (5.5.1)`);
  }
}

async function expectOnlyEnd(peer: Peer): Promise<void> {
  const event = await peer.next('the end of the connection');
  if (event.kind !== 'end')
    throw new Violation(`received ${eventText(event)}, expected the end of the connection (5.5.1)`);
}

/** Expects neither frames nor an end for a while: the client leaves the end to the server. */
async function expectHeldOpen(peer: Peer): Promise<void> {
  const event = await peer.nextWithin('nothing', peer.attempt.withRoundTrips(HOLD_TIME));
  if (event === undefined) return;
  if (event.kind !== 'end')
    throw new Violation(`received ${eventText(event)} after the close frame`);
  throw new Violation('the client ended the connection before the server did (7.1.1)');
}

/** Frames that end with a close frame. */
const CLOSES: readonly (readonly [string, readonly FrameSpec[]])[] = [
  ['a close frame with 1000', [CLOSE_FRAME]],
  ['a close frame without a code', [{ opcode: CLOSE }]],
  ['a close frame with 1001', [{ opcode: CLOSE, payload: closePayload(1001) }]],
  ['a close frame with 1011', [{ opcode: CLOSE, payload: closePayload(1011, 'sorry') }]],
  ['a close frame with 4999', [{ opcode: CLOSE, payload: closePayload(4999) }]],
  [
    'a close frame in an unfinished message',
    [{ opcode: TEXT, payload: utf8('un'), fin: false }, CLOSE_FRAME],
  ],
];

function serverFirst(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 7.1.1',
    level: 'should',
    expects: 'the client waits until the server ends the connection, then ends it too',
  });
  for (const [title, frames] of CLOSES) {
    add(`${title}, then a delay before our FIN`, async (attempt) => {
      const peer = await attempt.open();
      await closeFromServer(peer, ...frames);
      await expectHeldOpen(peer);
      peer.endWrites();
      await expectOnlyEnd(peer);
    });
  }
  serverFirstAfterEcho(add);
}

/** Adds a close frame after an echo. */
function serverFirstAfterEcho(add: AddCase<ClientAttempt>): void {
  add('a close frame after a message, then a delay before our FIN', async (attempt) => {
    const peer = await attempt.open();
    await checkAlive(peer);
    await closeFromServer(peer, CLOSE_FRAME);
    await expectHeldOpen(peer);
    peer.endWrites();
    await expectOnlyEnd(peer);
  });
}

/** Frames before a reset of the connection. */
const RESETS = [
  ['without a close frame', []],
  ['after an unanswerable close frame', [CLOSE_FRAME]],
  ['within a message', [{ opcode: TEXT, payload: utf8('un'), fin: false }]],
] as const;

function atOnce(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.1 and 7.1.1',
    expects: 'the client answers if possible, and ends the connection',
  });
  add('a close frame, its answer, then our FIN at once', async (attempt) => {
    const peer = await attempt.open();
    await closeFromServer(peer, CLOSE_FRAME);
    peer.endWrites();
    await expectOnlyEnd(peer);
  });
  add('a message, a close frame and our FIN in one segment', async (attempt) => {
    const peer = await attempt.open();
    const last = { opcode: TEXT, payload: utf8('last') };
    await peer.sendFrames(last, CLOSE_FRAME);
    peer.endWrites();
    const awaited = 'the answer to our close frame';
    let event = await peer.next(awaited);
    // The client need not echo a message that is followed by a close frame.
    if (event.kind === 'message' && event.payload.equals(last.payload)) {
      event = await peer.next(awaited);
    }
    if (event.kind === 'close') await expectOnlyEnd(peer);
    else if (event.kind !== 'end') throw new Violation(`received ${eventText(event)}`);
  });
  resets(add);
}

/** Adds cases that end with a reset. */
function resets(add: AddCase<ClientAttempt>): void {
  for (const [title, frames] of RESETS) {
    add(
      `a reset ${title}`,
      async (attempt) => {
        attempt.mustSurvive = true;
        const peer = await attempt.open();
        await checkAlive(peer);
        if (frames.length > 0) await peer.sendFrames(...frames);
        peer.reset();
      },
      { expects: 'the client survives and connects for the next case', section: 'RFC 6455, 7.1.5' },
    );
  }
}

/** Waits two timeouts for the client to end the connection by itself. */
async function expectOwnEnd(peer: Peer): Promise<void> {
  const event = await peer.nextWithin('the end of the connection', 2 * peer.attempt.timeout);
  if (event === undefined) {
    throw new Violation(
      `the client did not end the connection within ${2 * peer.attempt.timeout} ms`,
    );
  }
  if (event.kind !== 'end')
    throw new Violation(`received ${eventText(event)} after the close frame`);
}

function neverClosed(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 7.1.1',
    // A client MAY end it then.
    level: 'advice',
    expects: 'after a reasonable time the client ends the connection itself',
  });
  add('a server that never ends the connection after both close frames', async (attempt) => {
    const peer = await attempt.open();
    await closeFromServer(peer, CLOSE_FRAME);
    await expectOwnEnd(peer);
  });
}

const BROKEN: readonly (readonly [string, readonly FrameSpec[]])[] = [
  ['a masked frame', [{ opcode: TEXT, payload: utf8('no'), mask: Buffer.from([1, 2, 3, 4]) }]],
  ['a reserved opcode', [{ opcode: 3 }]],
  ['RSV3', [{ opcode: TEXT, rsv: 1 }]],
  ['a text that is not UTF-8', [{ opcode: TEXT, payload: Buffer.from([0xff]) }]],
  ['a continuation frame without a message', [{ opcode: CONTINUATION, payload: utf8('no') }]],
  ['a close frame of one byte', [{ opcode: CLOSE, payload: Buffer.from([3]) }]],
];

function failed(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 7.1.7',
    // The RFC names no time within which the client ends the connection.
    level: 'should',
    expects: 'the client ends the connection without an answer to its close frame',
  });
  // A case waits for the client's own timeout, so the suite tests only one fault.
  const [title, frames] = BROKEN[1]!;
  add(`${title}, then neither a close frame nor our FIN`, async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(...frames);
    const event = await peer.next('a failed connection');
    if (event.kind === 'end') return;
    if (event.kind !== 'close') throw new Violation(`received ${eventText(event)}`);
    await expectOwnEnd(peer);
  });
}

function stopped(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 7.1.7',
    expects: 'the client answers nothing after the fault',
  });
  const after: readonly FrameSpec[] = [
    { opcode: TEXT, payload: utf8('too late') },
    { opcode: PING, payload: utf8('too late') },
    { opcode: BINARY, payload: letters(2000) },
  ];
  for (const [title, frames] of BROKEN) {
    add(`${title}, then messages and a ping in the same segment`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(...frames, ...after);
      await expectNoAnswer(peer);
    });
    add(`${title}, then messages and a ping after the client's close frame`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(...frames);
      const event = await peer.next('a failed connection');
      if (event.kind === 'end') return;
      if (event.kind !== 'close') throw new Violation(`received ${eventText(event)}`);
      await peer.sendFrames(...after);
      peer.endWrites();
      await expectOnlyEnd(peer);
    });
  }
}

/** Expects a failed connection without echoes or pongs. */
async function expectNoAnswer(peer: Peer): Promise<void> {
  const event = await peer.next('a failed connection', { pongs: true });
  if (event.kind === 'end') return;
  if (event.kind !== 'close') {
    throw new Violation(`received ${eventText(event)}, expected a failed connection`);
  }
  peer.endWrites();
  await expectOnlyEnd(peer);
}
