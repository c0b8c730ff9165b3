import type { ServerAttempt } from '../run/server-attempt.ts';
import { closeCleanly, echo } from '../wire/expect.ts';
import { TEXT } from '../wire/frame.ts';
import { answerFaults, type Field, freshKey, headText } from '../wire/handshake.ts';
import { type Head, statusOf } from '../wire/head.ts';
import type { Peer } from '../wire/peer.ts';

/** A request that differs from the usual one. */
export interface Request {
  /** Default: GET of the target by HTTP/1.1. */
  readonly start?: (target: string, host: string) => string;
  /** Makes its fields from the usual ones. Default: those. */
  readonly fields?: (fields: readonly Field[]) => readonly Field[];
  /** Default: a fresh one. */
  readonly key?: string;
  /** Makes the bytes from the text. Default: as it is. */
  readonly bytes?: (text: string) => string;
  /** Sends it in pieces of this size. Default: in one. */
  readonly pieces?: number;
}

/** What a request was answered with. */
interface Answered {
  readonly peer: Peer;
  /** Undefined when the connection ended without an answer. */
  readonly head: Head | undefined;
  readonly key: string;
}

async function ask(attempt: ServerAttempt, request: Request): Promise<Answered> {
  const key = request.key ?? freshKey();
  const usual = attempt.fields(key);
  const start = request.start?.(attempt.target, attempt.host) ?? `GET ${attempt.target} HTTP/1.1`;
  const text = headText(start, request.fields?.(usual) ?? usual);
  const bytes = Buffer.from(request.bytes?.(text) ?? text, 'latin1');
  const peer = await attempt.connect();
  if (request.pieces === undefined) await peer.send(bytes, 'a request');
  else await peer.sendCut(bytes, request.pieces, { says: 'a request' });
  return { peer, head: await peer.readHead('the answer to the handshake'), key };
}

/** Asks, and wants a 101 that keeps every rule, and an echo after it. */
export async function wantAccepted(attempt: ServerAttempt, request: Request): Promise<Head> {
  const { peer, head, key } = await ask(attempt, request);
  if (head === undefined) attempt.fail('the connection ended without an answer to the handshake');
  await judgeOpen(attempt, peer, head, key);
  return head;
}

async function judgeOpen(
  attempt: ServerAttempt,
  peer: Peer,
  head: Head,
  key: string,
): Promise<void> {
  const faults = answerFaults(head, { key, extensions: [], subprotocols: [] });
  if (faults.length > 0) attempt.fail(faults.join('; '));
  await echo(peer, TEXT, Buffer.from('open'));
  await closeCleanly(peer);
}

/**
 * Asks, and wants an HTTP answer that is no 101; takes note of an end without one, and of a status below 400.
 *
 * @returns The answer, when there was one.
 */
export async function wantRefused(
  attempt: ServerAttempt,
  request: Request,
): Promise<Head | undefined> {
  const { head } = await ask(attempt, request);
  if (head !== undefined && statusOf(head) === 101) {
    attempt.fail('the handshake was accepted with 101, and it had to be refused');
  }
  if (head === undefined) {
    attempt.nonStrict(
      'the connection ended without an answer, where an HTTP error code was due (4.2.1)',
    );
  } else if (statusOf(head) < 400) {
    attempt.nonStrict(`the refusal has status ${statusOf(head)}, which is no error (4.2.1)`);
  }
  return head;
}

/**
 * Asks, and takes any answer, but no silence: a 101 must keep every rule.
 *
 * @returns The answer, when it was no 101.
 */
export async function wantAnswered(
  attempt: ServerAttempt,
  request: Request,
): Promise<Head | undefined> {
  const { peer, head, key } = await ask(attempt, request);
  if (head === undefined || statusOf(head) !== 101) return head;
  await judgeOpen(attempt, peer, head, key);
  return undefined;
}
