import { hexOf } from '../model/transcript.ts';
import { HardViolation, TimedOut, Violation } from '../model/verdicts.ts';
import { bytesText, CLOSE, opcodeName, PING, TEXT } from './frame.ts';
import type { CloseEvent, MessageEvent, Peer, PeerEvent } from './peer.ts';

/** Describes an event. */
export function eventText(event: PeerEvent): string {
  switch (event.kind) {
    case 'message':
      return `a ${opcodeName(event.opcode)} message of ${bytesText(event.payload.length)}`;
    case 'close':
      return event.code === undefined
        ? 'a close frame without a code'
        : `a close frame with code ${event.code}${event.reason === '' ? '' : ` (${JSON.stringify(event.reason)})`}`;
    case 'end':
      return event.how === 'fin' ? 'the end of the connection' : 'a reset of the connection';
    case 'ping':
    case 'pong':
      return `a ${event.kind} of ${bytesText(event.payload.length)}`;
  }
}

/** Waits for a message and checks its type and bytes. */
export async function expectMessage(
  peer: Peer,
  opcode: number,
  payload: Uint8Array,
): Promise<MessageEvent> {
  needsEcho(peer);
  const awaited = `a ${opcodeName(opcode)} message of ${bytesText(payload.length)}`;
  const event = await peer.next(awaited, { answersPings: true });
  if (event.kind !== 'message') {
    skipTooBig(peer, event, payload.length);
    throw new Violation(`received ${eventText(event)}, expected ${awaited}`);
  }
  judgeMessage(event, opcode, payload);
  return event;
}

/** Messages up to this size are normal. A target may refuse larger ones (RFC 6455, 10.4). */
const NORMAL_SIZE = 4096;

/** Ends the case when the target refuses a large message. The cases about limits are in chapter 9. */
function skipTooBig(peer: Peer, event: PeerEvent, size: number): void {
  if (event.kind === 'close' && event.code === 1009 && size > NORMAL_SIZE) {
    peer.attempt.skip(`the target refuses messages of ${bytesText(size)} with 1009`);
  }
}

/** Skips the case when the target does not echo. */
export function needsEcho({ attempt }: Peer): void {
  if (!attempt.echoes) attempt.skip('the case needs an echo');
}

function judgeMessage(event: MessageEvent, opcode: number, payload: Uint8Array): void {
  if (event.opcode !== opcode) {
    throw new Violation(
      `the message came back as ${opcodeName(event.opcode)}, expected ${opcodeName(opcode)}`,
    );
  }
  if (!event.payload.equals(payload))
    throw new HardViolation(differenceText(event.payload, payload));
}

function differenceText(got: Buffer, wanted: Uint8Array): string {
  const shorter = Math.min(got.length, wanted.length);
  let at = 0;
  while (at < shorter && got[at] === wanted[at]) at++;
  return (
    `the message came back with ${bytesText(got.length)}, expected ${wanted.length}; ` +
    `first difference at byte ${at}: ${hexOf(got.subarray(at), 8) || 'the end'}, expected ${hexOf(wanted.subarray(at), 8) || 'the end'}`
  );
}

/**
 * Waits for a pong with this payload. Other pongs may arrive before it: a target may send pongs as
 * a heartbeat (5.5.3). A pong with one of the payloads `not` breaks the rule of the case.
 */
export async function expectPong(
  peer: Peer,
  payload: Uint8Array,
  not: readonly Uint8Array[] = [],
): Promise<void> {
  const awaited = `a pong of ${bytesText(payload.length)}`;
  const until = performance.now() + peer.attempt.timeout;
  let other: Buffer | undefined;
  for (;;) {
    const event = await peer.nextWithin(awaited, until - performance.now(), { pongs: true });
    if (event?.kind === 'pong') {
      if (event.payload.equals(payload)) return;
      other = event.payload;
      if (!not.some((one) => event.payload.equals(one))) continue;
    }
    if (other !== undefined) {
      throw new Violation(
        `the pong has ${hexOf(other) || 'no bytes'}, expected ${hexOf(payload) || 'no bytes'} (5.5.3)`,
      );
    }
    if (event === undefined) throw peer.timeoutViolation(awaited);
    throw new Violation(`received ${eventText(event)}, expected ${awaited}`);
  }
}

/** Sends a message in one frame and waits for its echo. */
export async function echo(peer: Peer, opcode: number, payload: Uint8Array): Promise<MessageEvent> {
  await peer.sendFrames({ opcode, payload });
  return expectMessage(peer, opcode, payload);
}

/** Sends a ping and waits for its pong. The target has then read everything sent before. */
export async function ping(
  peer: Peer,
  payload: Uint8Array = Buffer.from('still there?'),
): Promise<void> {
  await peer.sendFrames({ opcode: PING, payload });
  await expectPong(peer, payload);
}

/** Checks that the connection still works, with one echo, or a ping without echoes. */
export async function checkAlive(peer: Peer): Promise<void> {
  if (!peer.attempt.echoes) return ping(peer);
  await echo(peer, TEXT, Buffer.from('still there?'));
}

/** Creates the payload of a close frame. */
export function closePayload(code: number, reason: string | Uint8Array = ''): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(code);
  return Buffer.concat([head, typeof reason === 'string' ? Buffer.from(reason) : reason]);
}

/** Options of {@link expectClosed}. */
export interface CloseOptions {
  /**
   * Accepted codes of the answer; undefined means no code. Default: only the sent code. Chapter 7
   * asks for the code; the other chapters accept any.
   */
  readonly codes?: readonly (number | undefined)[] | 'any';
  /** Messages sent before the close frame. Their echoes may arrive first, in order. */
  readonly after?: readonly SentMessage[];
}

/** Closes with 1000, then expects an answer with any code, and the end. */
export async function closeCleanly(peer: Peer): Promise<void> {
  await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000) });
  await expectClosed(peer, 1000, { codes: 'any' });
}

/** Waits for the answer to our close frame with `code`, and for the end of the connection. */
export async function expectClosed(
  peer: Peer,
  code: number | undefined,
  { codes = [code], after = [] }: CloseOptions = {},
): Promise<CloseEvent> {
  const awaited = 'the answer to our close frame';
  const event = await nextAfterEchoes(peer, awaited, after);
  if (event === undefined) throw peer.timeoutViolation(awaited);
  if (event.kind !== 'close') {
    throw new Violation(
      `received ${eventText(event)}, expected the answer to our close frame (5.5.1)`,
    );
  }
  if (codes !== 'any' && !codes.includes(event.code)) {
    peer.attempt.nonStrict(
      `the answer to our close frame with ${code ?? 'no code'} has ${event.code ?? 'no code'}; an endpoint typically echoes the code (5.5.1)`,
    );
  }
  await expectEnd(peer);
  return event;
}

/**
 * Waits for the end of the connection after both close frames. The suite sends its FIN first, so
 * that a server which waits for it costs no time. Chapter 7 asks whether a server ends first.
 */
async function expectEnd(peer: Peer): Promise<void> {
  peer.endWrites();
  const event = await peer.next('the end of the connection');
  if (event.kind !== 'end')
    throw new Violation(`received ${eventText(event)} after the close frame (5.5.1)`);
}

/** Waits for the end of the connection, with or without a close frame before it. */
export async function expectEndOrClose(peer: Peer): Promise<void> {
  const awaited = 'the end of the connection';
  let event = await peer.next(awaited);
  if (event.kind === 'close') event = await peer.next(awaited);
  if (event.kind !== 'end')
    throw new Violation(`received ${eventText(event)}, expected ${awaited}`);
}

/** A message that the suite has sent. */
export interface SentMessage {
  readonly opcode: number;
  readonly payload: Uint8Array;
}

/** Options of {@link expectFailure}. */
export interface FailureOptions {
  /** Complete messages sent before the fault. Their echoes may arrive first, in order. */
  readonly after?: readonly SentMessage[];
  /** Timeout in ms. Default: the timeout of a wait. */
  readonly within?: number;
  /** Codes that would answer a valid close frame, so they break the rule. Default: none. */
  readonly notAsGood?: readonly (number | undefined)[];
}

/**
 * Waits for the target to fail the connection (RFC 6455, 7.1.7): a close frame with one of
 * `codes`, then the end. Another code, no code and no close frame are non-strict; any other event
 * is a violation.
 */
export async function expectFailure(
  peer: Peer,
  codes: readonly number[],
  why: string,
  { after = [], within = peer.attempt.timeout, notAsGood = [] }: FailureOptions = {},
): Promise<void> {
  const event = await nextAfterEchoes(peer, `a failed connection (${why})`, after, within);
  if (event === undefined)
    throw new TimedOut(`timeout after ${within} ms, waiting for a failed connection: ${why}`);
  if (event.kind === 'close' && notAsGood.includes(event.code)) {
    throw new Violation(`received ${eventText(event)}, as if the frame were valid: ${why}`);
  }
  await judgeFailure(peer, event, codes, why);
}

/** Waits for the next event except the echoes of `sent`. */
async function nextAfterEchoes(
  peer: Peer,
  awaited: string,
  sent: readonly SentMessage[],
  ms: number = peer.attempt.timeout,
): Promise<PeerEvent | undefined> {
  let echoed = 0;
  for (;;) {
    const event = await peer.nextWithin(awaited, ms);
    const next = sent[echoed];
    const isEcho =
      event?.kind === 'message' &&
      next?.opcode === event.opcode &&
      event.payload.equals(next.payload);
    if (!isEcho) return event;
    echoed++;
  }
}

/** Checks the first event of a failed connection, and its end. */
async function judgeFailure(
  peer: Peer,
  event: PeerEvent,
  codes: readonly number[],
  why: string,
): Promise<void> {
  if (event.kind === 'end') {
    peer.attempt.nonStrict(
      `the connection ended without a close frame, expected code ${codes.join(' or ')} (7.1.7)`,
    );
    return;
  }
  if (event.kind !== 'close') {
    throw new Violation(`received ${eventText(event)}, expected a failed connection: ${why}`);
  }
  if (event.code === undefined || !codes.includes(event.code)) {
    peer.attempt.nonStrict(
      `the close frame has ${event.code === undefined ? 'no code' : `code ${event.code}`}, expected ${codes.join(' or ')} (7.4.1)`,
    );
  }
  await peer.sendFrames({ opcode: CLOSE, payload: closePayload(event.code ?? 1000) });
  peer.endWrites();
  const ms = peer.attempt.timeout;
  const last = await peer.nextWithin('the end of the connection', ms);
  // The RFC names no time. Chapter 7 asks whether the target ends the connection at all.
  if (last === undefined) {
    peer.attempt.nonStrict(`the target did not end the failed connection within ${ms} ms (7.1.7)`);
  } else if (last.kind !== 'end')
    throw new Violation(`received ${eventText(last)} after the close frame (5.5.1)`);
}

/**
 * Waits for messages in order, and for the pong of the last ping. The target may skip the pongs of
 * earlier pings (5.5.3). Pongs may arrive at any position.
 *
 * @param limits - Close codes with which the target may refuse so many messages or frames.
 * @returns False after a close with one of `limits`, which also ends the connection.
 */
export async function expectAll(
  peer: Peer,
  messages: readonly SentMessage[],
  lastPing?: Uint8Array,
  limits: readonly number[] = [],
): Promise<boolean> {
  if (messages.length > 0) needsEcho(peer);
  let at = 0;
  let answered = lastPing === undefined;
  while (at < messages.length || !answered) {
    const awaited = at < messages.length ? 'the next message' : 'the last pong';
    const event = await peer.next(awaited, { pongs: !answered });
    if (event.kind === 'pong') answered = event.payload.equals(lastPing ?? event.payload);
    else if (event.kind === 'message' && at < messages.length) {
      const { opcode, payload } = messages[at++]!;
      judgeMessage(event, opcode, payload);
    } else if (limits.length > 0 && (event.kind === 'end' || event.kind === 'close')) {
      await judgeFailure(peer, event, limits, 'the target limits messages and frames');
      return false;
    } else {
      const left = messages.slice(at);
      const largest = left.reduce((size, { payload }) => Math.max(size, payload.length), 0);
      skipTooBig(peer, event, largest);
      throw new Violation(`received ${eventText(event)}, with ${left.length} messages missing`);
    }
  }
  return true;
}

/** Waits for the echo of a message, or for a failed connection with one of `codes` (7.4.1). */
export async function expectMessageOrTooBig(
  peer: Peer,
  opcode: number,
  payload: Uint8Array,
  codes: readonly number[] = [1009],
): Promise<void> {
  needsEcho(peer);
  const event = await peer.next('the message, or a close frame with 1009');
  if (event.kind === 'message') {
    judgeMessage(event, opcode, payload);
    await closeCleanly(peer);
  } else await judgeFailure(peer, event, codes, 'the message is too large for the target');
}
