import type { ClientAttempt } from '../attempts/client-attempt.ts';
import type { AddCase } from '../model/chapter.ts';
import { Violation } from '../model/verdicts.ts';
import { checkAlive, closeCleanly, eventText } from '../wire/expect.ts';
import { TEXT } from '../wire/frame.ts';
import { acceptOf } from '../wire/handshake.ts';
import type { Peer, PeerEvent } from '../wire/peer.ts';

/** Creates the text of an answer to the request. */
export type AnswerText = (attempt: ClientAttempt) => string;

/** Title and answer of a case. */
export type AnswerRow = readonly [title: string, head: AnswerText];

/** Adds a case for each row. */
export function addRows(
  add: AddCase<ClientAttempt>,
  rows: readonly AnswerRow[],
  run: (attempt: ClientAttempt, text: string) => Promise<void>,
): void {
  for (const [title, head] of rows) add(title, (attempt) => run(attempt, head(attempt)));
}

const STATUS_LINE = 'HTTP/1.1 101 Switching Protocols';

/** Returns the right Accept for the request's key. */
export const acceptValue = (attempt: ClientAttempt): string => acceptOf(attempt.key);

/** Returns the field lines of a valid answer. */
export function validLines(attempt: ClientAttempt): string[] {
  return attempt.acceptFields().map(([name, value]) => `${name}: ${value}`);
}

/** Formats a 101 with these field lines. */
export function answerHead(lines: readonly string[], start: string = STATUS_LINE): string {
  return `${[start, ...lines].join('\r\n')}\r\n\r\n`;
}

/** Creates a valid answer with additional lines. */
export function withLines(...lines: readonly string[]): AnswerText {
  return (attempt) => answerHead([...validLines(attempt), ...lines]);
}

/** Creates a valid answer with one line of Sec-WebSocket-Protocol for each value. */
export function withSubprotocols(...values: readonly string[]): AnswerText {
  return (attempt) =>
    answerHead([
      ...attempt.upgradeFields().map(([name, value]) => `${name}: ${value}`),
      ...values.map((value) => `Sec-WebSocket-Protocol: ${value}`),
    ]);
}

/** Creates a valid answer with another status line. */
export function withStatusLine(start: string): AnswerText {
  return (attempt) => answerHead(validLines(attempt), start);
}

/** Creates a valid answer, but replaces one of the three required fields. */
export function replacing(
  name: 'Upgrade' | 'Connection' | 'Sec-WebSocket-Accept',
  ...lines: readonly (string | ((attempt: ClientAttempt) => string))[]
): AnswerText {
  return (attempt) => {
    const others = validLines(attempt).filter((line) => !line.startsWith(name));
    const own = lines.map((line) => (typeof line === 'string' ? line : line(attempt)));
    return answerHead([...others, ...own]);
  };
}

/** Creates a valid answer and changes its text. */
export function rewritten(change: (text: string) => string): AnswerText {
  return (attempt) => change(withLines()(attempt));
}

/**
 * Sends an answer and a message in one write. A client that accepts the answer echoes the message.
 */
async function sendWithMessage(attempt: ClientAttempt, text: string): Promise<void> {
  const bait = attempt.peer.bytes({ opcode: TEXT, payload: Buffer.from('is this open?') });
  await attempt.peer.send(
    Buffer.concat([Buffer.from(text, 'latin1'), bait]),
    'an answer and a text message',
  );
}

/** Delay in ms between two segments, so that the client reads them separately. */
const SEGMENT_GAP = 2;

/** Sends bytes in two segments, the first of `at` bytes. */
export async function sendInTwo(attempt: ClientAttempt, bytes: Buffer, at: number): Promise<void> {
  const { peer } = attempt;
  await peer.send(bytes.subarray(0, at), 'the first segment');
  await attempt.rest(SEGMENT_GAP);
  await peer.send(bytes.subarray(at), 'the second segment');
}

/** Sends an answer that the client must accept. Expects an echo and a clean close. */
export async function expectOpen(attempt: ClientAttempt, text: string): Promise<void> {
  await attempt.peer.send(Buffer.from(text, 'latin1'), 'an answer');
  await checkAlive(attempt.peer);
  await closeCleanly(attempt.peer);
}

/** Sends an answer that the client must reject. Expects only the end of the connection. */
export async function expectRefused(attempt: ClientAttempt, text: string): Promise<void> {
  await sendWithMessage(attempt, text);
  await expectUnopenedEnd(attempt);
}

/** Sends an answer with another status, then FIN. Expects only the end of the connection. */
export async function expectUnopened(attempt: ClientAttempt, text: string): Promise<void> {
  await sendWithMessage(attempt, text);
  attempt.peer.endWrites();
  await expectUnopenedEnd(attempt);
}

/**
 * Sends an answer that the client may accept or reject. A client that does neither gets our FIN
 * after half a timeout, and must then decide.
 */
export async function expectOpenOrEnd(attempt: ClientAttempt, text: string): Promise<void> {
  const { peer } = attempt;
  await sendWithMessage(attempt, text);
  const awaited = 'an echo or the end of the connection';
  let event = await peer.nextWithin(awaited, attempt.shouldTimeout);
  if (event === undefined) {
    peer.endWrites();
    event = await peer.next(awaited);
  }
  if (event.kind === 'end') return;
  if (event.kind !== 'message') {
    throw new Violation(
      `received ${eventText(event)}, expected an echo or the end of the connection`,
    );
  }
  await closeCleanly(peer);
}

/** Size in bytes of data that stands for endless data, and size of one write. */
const FLOOD = 8 * 1024 * 1024;
const CHUNK = 64 * 1024;

/**
 * Sends the start of an answer and then 8 MiB of the same text. The client must end the connection.
 */
export async function sendEndless(
  attempt: ClientAttempt,
  start: string,
  text: string,
): Promise<void> {
  const { peer } = attempt;
  const gush = Buffer.from(text.repeat(Math.ceil(CHUNK / text.length)), 'latin1');
  await peer.send(Buffer.from(start, 'latin1'), 'the beginning of an answer');
  for (let sent = 0; sent < FLOOD && peer.ended === undefined; sent += gush.length) {
    await peer.send(gush, 'more of it');
  }
  await expectUnopenedEnd(attempt);
}

/** Expects the end of a connection that must not open. A close frame before it is non-strict. */
export async function expectUnopenedEnd({ peer }: ClientAttempt): Promise<void> {
  for (;;) {
    const event = await nextOfUnopened(peer);
    if (event.kind === 'end') return;
    if (event.kind !== 'close') {
      throw new Violation(`the client accepted the answer (4.1): received ${eventText(event)}`);
    }
    peer.attempt.nonStrict(
      `received ${eventText(event)} on a connection that never opened (7.1.7)`,
    );
    peer.endWrites();
  }
}

/**
 * Waits for the next event. Reports an invalid frame as a sign that the client accepted the answer.
 */
async function nextOfUnopened(peer: Peer): Promise<PeerEvent> {
  try {
    return await peer.next('the end of the connection, which must not open');
  } catch (error) {
    if (!(error instanceof Violation) || peer.maskKeys.length === 0) throw error;
    throw new Violation(`the client accepted the answer (4.1): ${error.message}`);
  }
}
