import { Violation } from '../model/verdicts.ts';
import type { ClientAttempt } from '../run/client-attempt.ts';
import { alive, closeCleanly, eventWords } from '../wire/expect.ts';
import { TEXT } from '../wire/frame.ts';
import { acceptOf } from '../wire/handshake.ts';
import type { Peer, PeerEvent } from '../wire/peer.ts';

/** Makes the text of an answer for the request that was read. */
export type MakeHead = (attempt: ClientAttempt) => string;

/** A case about an answer: its title, and the answer. */
export type AnswerRow = readonly [title: string, head: MakeHead];

const STATUS_LINE = 'HTTP/1.1 101 Switching Protocols';

/** What the request's key is answered with. */
export const right = (attempt: ClientAttempt): string => acceptOf(attempt.key);

/** The lines of an answer that keeps every rule. */
export function rightLines(attempt: ClientAttempt): string[] {
  return attempt.acceptFields().map(([name, value]) => `${name}: ${value}`);
}

/** A 101 of these lines. */
export function head(lines: readonly string[], start: string = STATUS_LINE): string {
  return `${[start, ...lines].join('\r\n')}\r\n\r\n`;
}

/** An answer that keeps every rule, with these lines besides. */
export function plus(...lines: readonly string[]): MakeHead {
  return (attempt) => head([...rightLines(attempt), ...lines]);
}

/** An answer that says this of subprotocols, a line each, and nothing else. */
export function choosing(...values: readonly string[]): MakeHead {
  return (attempt) =>
    head([
      ...attempt.upgradeFields().map(([name, value]) => `${name}: ${value}`),
      ...values.map((value) => `Sec-WebSocket-Protocol: ${value}`),
    ]);
}

/** An answer that keeps every rule, with another first line. */
export function startingWith(start: string): MakeHead {
  return (attempt) => head(rightLines(attempt), start);
}

/** An answer with other lines in place of one of the three. */
export function instead(
  name: 'Upgrade' | 'Connection' | 'Sec-WebSocket-Accept',
  ...lines: readonly (string | ((attempt: ClientAttempt) => string))[]
): MakeHead {
  return (attempt) => {
    const others = rightLines(attempt).filter((line) => !line.startsWith(name));
    const own = lines.map((line) => (typeof line === 'string' ? line : line(attempt)));
    return head([...others, ...own]);
  };
}

/** An answer that keeps every rule, its text changed. */
export function changed(change: (text: string) => string): MakeHead {
  return (attempt) => change(plus()(attempt));
}

/** Sends an answer, and a message behind it in the same write: who has taken the answer sends it back. */
async function sendWithBait(attempt: ClientAttempt, text: string): Promise<void> {
  const bait = attempt.peer.bytes({ opcode: TEXT, payload: Buffer.from('is this open?') });
  await attempt.peer.send(
    Buffer.concat([Buffer.from(text, 'latin1'), bait]),
    'an answer and a text message',
  );
}

/** Milliseconds between two segments, so that the first has been read when the second comes. */
const BETWEEN = 2;

/** Sends bytes in two segments, the first of `at` bytes. */
export async function sendInTwo({ peer }: ClientAttempt, bytes: Buffer, at: number): Promise<void> {
  await peer.send(bytes.subarray(0, at), 'the first segment');
  await new Promise((done) => setTimeout(done, BETWEEN));
  await peer.send(bytes.subarray(at), 'the second segment');
}

/** Sends an answer that the client must take: a message comes back, and the connection closes as it should. */
export async function taken(attempt: ClientAttempt, text: string): Promise<void> {
  await attempt.peer.send(Buffer.from(text, 'latin1'), 'an answer');
  await alive(attempt.peer);
  await closeCleanly(attempt.peer);
}

/** Sends an answer that the client must not take: all it may do is to end the connection. */
export async function refused(attempt: ClientAttempt, text: string): Promise<void> {
  await sendWithBait(attempt, text);
  await wantNoHandshake(attempt);
}

/** Sends an answer of another status and its body; the client may end the connection when we have. */
export async function notOpened(attempt: ClientAttempt, text: string): Promise<void> {
  await sendWithBait(attempt, text);
  attempt.peer.endWrites();
  await wantNoHandshake(attempt);
}

/**
 * Sends what a client may take or refuse: it does one of the two. It may wait for more, too, for as long as there may be
 * more.
 */
export async function decided(attempt: ClientAttempt, text: string): Promise<void> {
  const { peer } = attempt;
  await sendWithBait(attempt, text);
  const awaited = 'a message that comes back, or the end of the connection';
  let event = await peer.nextWithin(awaited, attempt.patience);
  if (event === undefined) {
    peer.endWrites();
    event = await peer.next(awaited);
  }
  if (event.kind === 'end') return;
  if (event.kind !== 'message') {
    throw new Violation(
      `${eventWords(event)} came, where the client had to take the answer or end`,
    );
  }
  await closeCleanly(peer);
}

/** How much is sent of what has no end, in bytes, and how much at once. */
const FLOOD = 8 * 1024 * 1024;
const GUSH = 64 * 1024;

/** Sends the beginning of an answer and then the same text on and on; the client must end the connection. */
export async function flood(attempt: ClientAttempt, start: string, text: string): Promise<void> {
  const { peer } = attempt;
  const gush = Buffer.from(text.repeat(Math.ceil(GUSH / text.length)), 'latin1');
  await peer.send(Buffer.from(start, 'latin1'), 'the beginning of an answer');
  for (let sent = 0; sent < FLOOD && peer.ended === undefined; sent += gush.length) {
    await peer.send(gush, 'more of it');
  }
  await wantNoHandshake(attempt);
}

/** Waits for the client to end a connection that it must not take for open. */
export async function wantNoHandshake({ peer }: ClientAttempt): Promise<void> {
  for (;;) {
    const event = await nextOfUnopened(peer);
    if (event.kind === 'end') return;
    if (event.kind !== 'close') {
      throw new Violation(`the client has taken the answer (4.1): ${eventWords(event)} came`);
    }
    peer.attempt.nonStrict(
      `${eventWords(event)} came, on a connection that was never open; ending it is all there is to do (7.1.7)`,
    );
    peer.endWrites();
  }
}

/** A frame that breaks a rule says first of all that there was one. */
async function nextOfUnopened(peer: Peer): Promise<PeerEvent> {
  try {
    return await peer.next('the end of the connection, which must not open');
  } catch (error) {
    if (!(error instanceof Violation) || peer.maskKeys.length === 0) throw error;
    throw new Violation(`the client has taken the answer (4.1): ${error.message}`);
  }
}
