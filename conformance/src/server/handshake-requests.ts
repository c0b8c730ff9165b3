import type { ServerAttempt } from '../attempts/server-attempt.ts';
import { Unanswered } from '../model/verdicts.ts';
import { closeCleanly, echo } from '../wire/expect.ts';
import { TEXT } from '../wire/frame.ts';
import { type Field, type HandshakeOffer, headText, withField } from '../wire/handshake.ts';
import { type Head, statusOf } from '../wire/head.ts';
import type { Peer } from '../wire/peer.ts';

/** Creates the fields of a request from the usual ones. */
export type ChangeFields = (fields: readonly Field[]) => readonly Field[];

/** Replaces the value of a field. */
export function withValue(name: string, value: string): ChangeFields {
  return (fields) => withField(fields, name, value);
}

/** Appends fields. */
export function withFields(...more: readonly Field[]): ChangeFields {
  return (fields) => [...fields, ...more];
}

/** A request that differs from the usual one. */
export interface HandshakeRequest {
  /** Creates the start line. Default: GET of the target with HTTP/1.1. */
  readonly start?: (target: string, host: string) => string;
  /** Changes the fields. Default: no change. */
  readonly fields?: ChangeFields;
  /** Subprotocols that `fields` offer besides those of every request. Default: none. */
  readonly subprotocols?: readonly string[];
  /** Value of `Sec-WebSocket-Key`. Default: a random key. */
  readonly key?: string;
  /** Changes the text of the request. Default: no change. */
  readonly bytes?: (text: string) => string;
  /** Sends the request in pieces of this size in bytes. Default: one write. */
  readonly pieces?: number;
}

/** Connection and answer after a request. */
interface HandshakeResult {
  readonly peer: Peer;
  /** Header of the answer; undefined when the connection ended without one. */
  readonly head: Head | undefined;
  readonly asked: HandshakeOffer;
}

async function sendHandshake(
  attempt: ServerAttempt,
  request: HandshakeRequest,
): Promise<HandshakeResult> {
  const key = request.key ?? attempt.freshKey();
  const usual = attempt.fields(key);
  const start = request.start?.(attempt.target, attempt.host) ?? `GET ${attempt.target} HTTP/1.1`;
  const text = headText(start, request.fields?.(usual) ?? usual);
  const bytes = Buffer.from(request.bytes?.(text) ?? text, 'latin1');
  const peer = await attempt.connect();
  if (request.pieces === undefined) await peer.send(bytes, 'a request');
  else await peer.sendCut(bytes, request.pieces, { label: 'a request' });
  const subprotocols = [...attempt.subprotocols, ...(request.subprotocols ?? [])];
  const head = await peer.readHead('the answer to the handshake');
  return { peer, head, asked: { key, extensions: [], subprotocols } };
}

/** Sends a request and expects a valid 101 and an echo. */
export async function expectAccepted(
  attempt: ServerAttempt,
  request: HandshakeRequest,
): Promise<Head> {
  const { peer, head, asked } = await sendHandshake(attempt, request);
  if (head === undefined) throw new Unanswered();
  await expectEcho(attempt, peer, head, asked);
  return head;
}

/** Servers limit the fields of a request (RFC 6585, 5). */
const FIELDS_TOO_LARGE = 431;

async function expectEcho(
  attempt: ServerAttempt,
  peer: Peer,
  head: Head,
  asked: HandshakeOffer,
): Promise<void> {
  if (statusOf(head) === FIELDS_TOO_LARGE) attempt.skip('the server limits fields: status 431');
  attempt.judgeAnswer(head, asked.key, asked);
  await echo(peer, TEXT, Buffer.from('open'));
  await closeCleanly(peer);
}

/**
 * Sends a request and expects no 101.
 *
 * @param kind - `handshake`: the server must answer with an HTTP error. `request`: it is a plain HTTP
 *   request, so any other status is fine. `garbage`: also an end without an answer.
 * @returns The answer, if any.
 */
export async function expectRefused(
  attempt: ServerAttempt,
  request: HandshakeRequest,
  kind: RefusalKind = 'handshake',
): Promise<Head | undefined> {
  const { head } = await sendHandshake(attempt, request);
  if (head !== undefined && statusOf(head) === 101) {
    attempt.fail('the server accepted the handshake with 101, expected a refusal');
  }
  if (kind === 'handshake') failUnlessError(attempt, head);
  else if (kind === 'request' && head === undefined) {
    attempt.nonStrict('the connection ended without an answer to a readable HTTP request');
  }
  return head;
}

/** What a request without a valid handshake is. */
export type RefusalKind = 'handshake' | 'request' | 'garbage';

/** RFC 6455, 4.2.1: a server must answer a handshake that it refuses with an HTTP error. */
function failUnlessError(attempt: ServerAttempt, head: Head | undefined): void {
  if (head === undefined) {
    attempt.fail('the connection ended without an answer, expected an HTTP error status (4.2.1)');
  }
  if (statusOf(head) < 400) {
    attempt.fail(`the refusal has status ${statusOf(head)}, expected an error status (4.2.1)`);
  }
}

/**
 * Sends a request that the server may accept or refuse. A 101 must be valid.
 *
 * @param kind - What the request is, if the server refuses it.
 * @returns The answer, unless it is a 101.
 */
export async function expectAnswered(
  attempt: ServerAttempt,
  request: HandshakeRequest,
  kind: RefusalKind = 'garbage',
): Promise<Head | undefined> {
  const { peer, head, asked } = await sendHandshake(attempt, request);
  if (head === undefined || statusOf(head) !== 101) {
    if (kind === 'handshake') failUnlessError(attempt, head);
    return head;
  }
  await expectEcho(attempt, peer, head, asked);
  return undefined;
}
