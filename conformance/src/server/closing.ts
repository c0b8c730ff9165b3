import type { ServerAttempt } from '../attempts/server-attempt.ts';
import type { Chapter } from '../model/chapter.ts';
import { Violation } from '../model/verdicts.ts';
import { letters, utf8 } from '../wire/bytes.ts';
import { closePayload, eventText } from '../wire/expect.ts';
import { BINARY, CLOSE, type FrameSpec, PING, TEXT } from '../wire/frame.ts';
import type { Peer, PeerEvent } from '../wire/peer.ts';

const CLOSE_FRAME: FrameSpec = { opcode: CLOSE, payload: closePayload(1000) };

/** Adds sections to chapter 7 that apply to servers only: who ends the TCP connection. */
export function serverClosing(chapter: Chapter<ServerAttempt>): Chapter<ServerAttempt> {
  afterClosing(chapter);
  afterFault(chapter);
  return chapter;
}

/** Frames that end with a close frame. */
const CLOSES: readonly (readonly [title: string, frames: readonly FrameSpec[]])[] = [
  ['a close frame with 1000', [CLOSE_FRAME]],
  ['a close frame without a code', [{ opcode: CLOSE }]],
  ['a close frame with 4999 and a reason', [{ opcode: CLOSE, payload: closePayload(4999, 'bye') }]],
  ['a message and a close frame', [{ opcode: TEXT, payload: utf8('last') }, CLOSE_FRAME]],
  ['a ping and a close frame', [{ opcode: PING, payload: utf8('last') }, CLOSE_FRAME]],
  [
    'a close frame in an unfinished message',
    [{ opcode: TEXT, payload: utf8('un'), fin: false }, CLOSE_FRAME],
  ],
];

function afterClosing(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.1 and 7.1.1',
    expects: 'the server answers with a close frame and ends the TCP connection at once',
  });
  for (const [title, frames] of CLOSES) {
    add(`${title}, and no FIN from us`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(...frames);
      await expectCloseFrame(peer);
      await expectOwnEnd(peer, attempt.timeout);
    });
  }
  add('a close frame, then messages without end', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(CLOSE_FRAME);
    const more = peer.bytes({ opcode: BINARY, payload: letters(1000) });
    const until = performance.now() + attempt.timeout;
    while (peer.ended === undefined && performance.now() < until) {
      await peer.sendPieces([more], { label: 'a message after the close frame' });
    }
    // A server that ends the connection with unread bytes resets it, and its close frame is lost.
    if (peer.ended === undefined) {
      throw new Violation(
        `the server did not end the connection within ${attempt.timeout} ms (5.5.1)`,
      );
    }
  });
}

/** Frames that break a rule. */
const FAULTS: readonly (readonly [title: string, frame: FrameSpec])[] = [
  ['a reserved opcode', { opcode: 5 }],
  ['a text that is not UTF-8', { opcode: TEXT, payload: Buffer.from([0xff]) }],
];

function afterFault(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 7.1.7',
    expects: 'the server fails the connection, and ends the TCP connection itself',
  });
  for (const [title, frame] of FAULTS) {
    add(`${title}, our answer to the server's close frame, and no FIN from us`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(frame);
      if (await expectFailed(peer)) return;
      await peer.sendFrames(CLOSE_FRAME);
      await expectOwnEnd(peer, attempt.timeout);
    });
  }
  // The case waits for the server's own timeout, so the suite asks about one fault only.
  const [title, frame] = FAULTS[0]!;
  add(
    `${title}, then neither a close frame nor our FIN`,
    async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(frame);
      if (await expectFailed(peer)) return;
      await expectOwnEnd(peer, 2 * attempt.timeout);
    },
    // The RFC names no time within which the server ends the connection.
    { level: 'should', expects: 'the server ends the TCP connection after a reasonable time' },
  );
}

/** Waits for the first event after a fault. @returns True when it is the end of the connection. */
async function expectFailed(peer: Peer): Promise<boolean> {
  const event = await peer.next('a failed connection');
  if (event.kind === 'end') return true;
  if (event.kind !== 'close') {
    throw new Violation(`received ${eventText(event)}, expected a failed connection`);
  }
  return false;
}

async function expectCloseFrame(peer: Peer): Promise<void> {
  const awaited = 'the answer to our close frame';
  const until = performance.now() + peer.attempt.timeout;
  let event: PeerEvent | undefined;
  do event = await peer.nextWithin(awaited, until - performance.now());
  while (event?.kind === 'message');
  if (event === undefined) throw peer.timeoutViolation(awaited);
  if (event.kind !== 'close') {
    throw new Violation(`received ${eventText(event)}, expected ${awaited} (5.5.1)`);
  }
}

async function expectOwnEnd(peer: Peer, ms: number): Promise<void> {
  const event = await peer.nextWithin('the end of the connection', ms);
  if (event === undefined) {
    throw new Violation(`the server did not end the connection within ${ms} ms (5.5.1)`);
  }
  if (event.kind !== 'end') {
    throw new Violation(`received ${eventText(event)} after the close frame (5.5.1)`);
  }
}
