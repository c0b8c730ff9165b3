import { Violation } from '../model/verdicts.ts';
import { hexOf } from './bytes.ts';
import { bytesWords, CLOSE, opcodeName, PING, TEXT } from './frame.ts';
import type { CloseEvent, MessageEvent, Peer, PeerEvent } from './peer.ts';

/** An event of the target in words. */
export function eventWords(event: PeerEvent): string {
  switch (event.kind) {
    case 'message':
      return `a ${opcodeName(event.opcode)} message of ${bytesWords(event.payload.length)}`;
    case 'close':
      return event.code === undefined
        ? 'a close frame without a code'
        : `a close frame with code ${event.code}${event.reason === '' ? '' : ` (${JSON.stringify(event.reason)})`}`;
    case 'end':
      return event.how === 'fin' ? 'the end of the connection' : 'a reset of the connection';
    case 'ping':
    case 'pong':
      return `a ${event.kind} of ${bytesWords(event.payload.length)}`;
  }
}

/** Waits for a message and compares it, type and bytes. Pongs that nobody asked for are allowed before it. */
export async function wantMessage(
  peer: Peer,
  opcode: number,
  payload: Uint8Array,
): Promise<MessageEvent> {
  const awaited = `a ${opcodeName(opcode)} message of ${bytesWords(payload.length)}`;
  for (;;) {
    const event = await peer.next(awaited);
    if (event.kind === 'pong') continue;
    if (event.kind !== 'message')
      throw new Violation(`${eventWords(event)} came, where ${awaited} was due`);
    judgeMessage(event, opcode, payload);
    return event;
  }
}

function judgeMessage(event: MessageEvent, opcode: number, payload: Uint8Array): void {
  if (event.opcode !== opcode) {
    throw new Violation(
      `a message came back as ${opcodeName(event.opcode)}, not ${opcodeName(opcode)}`,
    );
  }
  if (!event.payload.equals(payload)) throw new Violation(difference(event.payload, payload));
}

function difference(got: Buffer, wanted: Uint8Array): string {
  const shorter = Math.min(got.length, wanted.length);
  let at = 0;
  while (at < shorter && got[at] === wanted[at]) at++;
  return (
    `the message that came back has ${bytesWords(got.length)} in place of ${wanted.length}, ` +
    `and differs from byte ${at} on: ${hexOf(got.subarray(at), 8) || 'nothing'} in place of ${hexOf(wanted.subarray(at), 8) || 'nothing'}`
  );
}

/** Waits for a pong with this payload. */
export async function wantPong(peer: Peer, payload: Uint8Array): Promise<void> {
  const awaited = `a pong of ${bytesWords(payload.length)}`;
  const event = await peer.next(awaited);
  if (event.kind !== 'pong')
    throw new Violation(`${eventWords(event)} came, where ${awaited} was due`);
  if (!event.payload.equals(payload)) {
    throw new Violation(
      `the pong has ${hexOf(event.payload) || 'no bytes'}, and the ping had ${hexOf(payload) || 'none'} (5.5.3)`,
    );
  }
}

/** Sends a message in one frame and waits for it to come back. */
export async function echo(peer: Peer, opcode: number, payload: Uint8Array): Promise<MessageEvent> {
  await peer.sendFrames({ opcode, payload });
  return wantMessage(peer, opcode, payload);
}

/** Sends a ping and waits for its pong: whatever was sent before it has been read then. */
export async function ping(
  peer: Peer,
  payload: Uint8Array = Buffer.from('still there?'),
): Promise<void> {
  await peer.sendFrames({ opcode: PING, payload });
  await wantPong(peer, payload);
}

/** Asks for an echo, to see that the connection works as before. */
export async function alive(peer: Peer): Promise<void> {
  await echo(peer, TEXT, Buffer.from('still there?'));
}

/** The payload of a close frame. */
export function closePayload(code: number, reason: string | Uint8Array = ''): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(code);
  return Buffer.concat([head, typeof reason === 'string' ? Buffer.from(reason) : reason]);
}

/** What a closing that we began may be answered with. */
export interface ClosingAnswer {
  /** Codes that are as good as the one that was sent; undefined stands for none. Default: only that one. */
  readonly codes?: readonly (number | undefined)[];
}

/** Closes with 1000: nothing but the answer must come, and then the end. */
export async function closeCleanly(peer: Peer): Promise<void> {
  await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000) });
  await wantClosed(peer, 1000);
}

/** Waits for the answer to a close frame that we sent with `code`, and for the end of the connection. */
export async function wantClosed(
  peer: Peer,
  code: number | undefined,
  { codes = [code] }: ClosingAnswer = {},
): Promise<CloseEvent> {
  let event = await peer.next('the answer to our close frame');
  while (event.kind === 'pong') event = await peer.next('the answer to our close frame');
  if (event.kind !== 'close') {
    throw new Violation(
      `${eventWords(event)} came, where the answer to our close frame was due (5.5.1)`,
    );
  }
  if (!codes.includes(event.code)) {
    peer.attempt.nonStrict(
      `our close frame with ${code ?? 'no code'} was answered with ${event.code ?? 'no code'}; an endpoint typically echoes the code (5.5.1)`,
    );
  }
  await wantEnd(peer);
  return event;
}

/**
 * Waits for the end of the connection, when both close frames have been seen. Of a server it SHOULD come without our help
 * (7.1.1), of a client we give it.
 */
async function wantEnd(peer: Peer): Promise<void> {
  if (peer.role === 'server') peer.endWrites();
  const awaited = 'the end of the connection';
  let event = await peer.nextWithin(awaited, peer.attempt.patience);
  if (event === undefined) {
    peer.attempt.nonStrict(
      'after both close frames the server left the end of the connection to the client (7.1.1)',
    );
    peer.endWrites();
    event = await peer.next(awaited);
  }
  if (event.kind !== 'end')
    throw new Violation(`${eventWords(event)} came after the close frame (5.5.1)`);
}

/** A message, as it was sent. */
export interface Sent {
  readonly opcode: number;
  readonly payload: Uint8Array;
}

/** How {@link wantFailure} waits. */
export interface FailureWait {
  /** Messages that were sent whole before the fault: they may come back first, in their order. */
  readonly after?: readonly Sent[];
  /** Milliseconds. Default: the timeout of a wait. */
  readonly within?: number;
  /** Codes that would answer a good close frame: with one of them the bad one was taken for good. Default: none. */
  readonly notAsGood?: readonly (number | undefined)[];
}

/**
 * Waits for the target to fail the connection, as RFC 6455 says in 7.1.7: a close frame with one of `codes`, and the end.
 * Another code, or none, or no close frame at all is non-strict; anything else is a violation.
 */
export async function wantFailure(
  peer: Peer,
  codes: readonly number[],
  why: string,
  { after = [], within = peer.attempt.timeout, notAsGood = [] }: FailureWait = {},
): Promise<void> {
  let echoed = 0;
  for (;;) {
    const event = await peer.nextWithin(`a failed connection (${why})`, within);
    if (event === undefined)
      throw new Violation(
        `nothing came for ${within} ms, where the connection had to be failed: ${why}`,
      );
    if (event.kind === 'pong') continue;
    const sent = after[echoed];
    if (
      event.kind === 'message' &&
      sent?.opcode === event.opcode &&
      event.payload.equals(sent.payload)
    ) {
      echoed++;
      continue;
    }
    if (event.kind === 'close' && notAsGood.includes(event.code)) {
      throw new Violation(`${eventWords(event)} came, as if nothing were wrong: ${why}`);
    }
    await judgeFailure(peer, event, codes, why);
    return;
  }
}

/** {@link wantFailure} for an event that has been read. */
async function judgeFailure(
  peer: Peer,
  event: PeerEvent,
  codes: readonly number[],
  why: string,
): Promise<void> {
  if (event.kind === 'end') {
    peer.attempt.nonStrict(
      `the connection ended without a close frame; it should have told ${codes.join(' or ')} (7.1.7)`,
    );
    return;
  }
  if (event.kind !== 'close') {
    throw new Violation(`${eventWords(event)} came, where the connection had to be failed: ${why}`);
  }
  if (event.code === undefined || !codes.includes(event.code)) {
    peer.attempt.nonStrict(
      `the close frame has ${event.code === undefined ? 'no code' : `code ${event.code}`}, where ${codes.join(' or ')} says what was wrong (7.4.1)`,
    );
  }
  await peer.sendFrames({ opcode: CLOSE, payload: closePayload(event.code ?? 1000) });
  peer.endWrites();
  const last = await peer.next('the end of the connection');
  if (last.kind !== 'end')
    throw new Violation(`${eventWords(last)} came after the close frame (5.5.1)`);
}

/**
 * Waits for messages in their order, and for the last of some pings: those before it may go unanswered (5.5.3). Pongs may
 * stand anywhere.
 */
export async function wantAll(
  peer: Peer,
  messages: readonly Sent[],
  lastPing?: Uint8Array,
): Promise<void> {
  const left = [...messages];
  let answered = lastPing === undefined;
  while (left.length > 0 || !answered) {
    const event = await peer.next(left.length > 0 ? 'the next message' : 'the last pong');
    if (event.kind === 'pong') answered ||= event.payload.equals(lastPing ?? event.payload);
    else if (event.kind === 'message' && left.length > 0) {
      const { opcode, payload } = left.shift()!;
      judgeMessage(event, opcode, payload);
    } else throw new Violation(`${eventWords(event)} came, with ${left.length} messages still due`);
  }
}

/** Waits for a message that may be too large for the target: it comes back, or 1009 says why not (7.4.1). */
export async function wantMessageOrTooBig(
  peer: Peer,
  opcode: number,
  payload: Uint8Array,
  codes: readonly number[] = [1009],
): Promise<void> {
  let event = await peer.next('the message, or a close frame with 1009');
  while (event.kind === 'pong') event = await peer.next('the message, or a close frame with 1009');
  if (event.kind === 'message') {
    judgeMessage(event, opcode, payload);
    await closeCleanly(peer);
  } else await judgeFailure(peer, event, codes, 'the message is too large for the target');
}
