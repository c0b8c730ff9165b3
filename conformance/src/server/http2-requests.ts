import type { ServerAttempt } from '../attempts/server-attempt.ts';
import { HardViolation, Refused, Unanswered } from '../model/verdicts.ts';
import { closeCleanly, echo } from '../wire/expect.ts';
import { TEXT } from '../wire/frame.ts';
import { acceptOf, type Field } from '../wire/handshake.ts';
import { fieldLines, type Head, parseExtensions } from '../wire/head.ts';
import type { Http2Session } from '../wire/http2-session.ts';
import type { Http2Stream } from '../wire/http2-stream.ts';
import type { Peer } from '../wire/peer.ts';
import type { ChangeFields } from './handshake-requests.ts';

/** A request that differs from the usual one. */
export interface StreamRequest {
  /** Changes the fields: five pseudo-header fields, the version, and those of every request. */
  readonly fields?: ChangeFields;
  /** Sends END_STREAM with the request. Default: false. */
  readonly end?: boolean;
  /** Names that the request offers besides those of every request. Default: none. */
  readonly subprotocols?: readonly string[];
  readonly extensions?: readonly string[];
  /** Valid `Sec-WebSocket-Key` of the request. Default: none. */
  readonly key?: string;
}

/** Fields of a valid request (RFC 8441, 5). */
export function streamFields(attempt: ServerAttempt): Field[] {
  const usual = attempt
    .fields('')
    .slice(1)
    .map(([name, value]): Field => [name.toLowerCase(), value])
    .filter(([name]) => !['upgrade', 'connection', 'sec-websocket-key'].includes(name));
  return [
    [':method', 'CONNECT'],
    [':protocol', 'websocket'],
    [':scheme', attempt.url.protocol === 'wss:' ? 'https' : 'http'],
    [':authority', attempt.host],
    [':path', attempt.target],
    ...usual,
  ];
}

/** Sends a request on a session. */
export function sendRequest(
  attempt: ServerAttempt,
  session: Http2Session,
  { fields = (usual) => usual, end }: StreamRequest = {},
): Http2Stream {
  return session.request(fields(streamFields(attempt)), end);
}

/** Waits for an answer, a reset or the end of the session. @returns The answer. */
export async function answerOf(
  session: Http2Session,
  stream: Http2Stream,
): Promise<Head | undefined> {
  await session.until(
    () => stream.answer !== undefined || stream.isReset,
    'an answer or a reset of the stream',
  );
  return stream.answer && { start: `:status ${stream.status}`, fields: stream.answer };
}

export function isAccepted({ status }: Http2Stream): boolean {
  return status >= 200 && status < 300;
}

/** Fields of a connection, which HTTP/2 forbids (RFC 9113, 8.2.2). */
const OF_CONNECTION = [
  'connection',
  'upgrade',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
];

/** Lists the rules that an answer breaks. */
function answerFaults(stream: Http2Stream, head: Head, request: StreamRequest): string[] {
  const { key, subprotocols = [], extensions = [] } = request;
  const lines = (name: string): string[] => fieldLines(head, name);
  const [protocol, ...others] = lines('sec-websocket-protocol');
  const accept = lines('sec-websocket-accept');
  const checks: readonly (readonly [broken: boolean, fault: string])[] = [
    [
      head.fields.some(([name]) => name !== name.toLowerCase()),
      'the answer has a field name in upper case (RFC 9113, 8.2.1)',
    ],
    [
      OF_CONNECTION.some((name) => lines(name).length > 0),
      'the answer has a field of a connection (RFC 9113, 8.2.2)',
    ],
    [lines(':status').length !== 1, 'the answer must have :status once (RFC 9113, 8.3.2)'],
    [others.length > 0, 'the answer has Sec-WebSocket-Protocol more than once (11.3.4)'],
    [
      protocol !== undefined && !subprotocols.includes(protocol),
      'the answer names a subprotocol that was not offered (4.2.2)',
    ],
    [
      lines('sec-websocket-extensions')
        .flatMap(parseExtensions)
        .some(({ name }) => !extensions.includes(name)),
      'the answer names an extension that was not offered (9.1)',
    ],
    [
      accept.length > 0 && key !== undefined && accept.join() !== acceptOf(key),
      'Sec-WebSocket-Accept does not match the key (4.2.2)',
    ],
    [
      lines('content-length').length > 0,
      'the answer to CONNECT has Content-Length (RFC 9110, 9.3.6)',
    ],
    [stream.targetEnded, 'the answer ends the stream (RFC 8441, 5)'],
  ];
  return checks.flatMap(([broken, fault]) => (broken ? [fault] : []));
}

/** Checks that the server accepts a request. @returns The answer, and the connection. */
export async function acceptedOn(
  attempt: ServerAttempt,
  session: Http2Session,
  request: StreamRequest = {},
  stream: Http2Stream = sendRequest(attempt, session, request),
): Promise<{ readonly peer: Peer; readonly head: Head; readonly stream: Http2Stream }> {
  const head = await answerOf(session, stream);
  if (head === undefined) throw new Unanswered();
  if (!isAccepted(stream)) throw new Refused(`the handshake was answered with ${head.start}`);
  const subprotocols = [...attempt.subprotocols, ...(request.subprotocols ?? [])];
  const faults = answerFaults(stream, head, { ...request, subprotocols });
  if (faults.length > 0) throw new HardViolation(faults.join('; '));
  return { peer: attempt.peerOf(stream), head, stream };
}

/** Sends a request on a new session. Expects a valid yes, an echo and a clean end. */
export async function expectAccepted(
  attempt: ServerAttempt,
  request: StreamRequest = {},
): Promise<Head> {
  const { peer, head } = await acceptedOn(attempt, await attempt.connectHttp2(), request);
  await echoAndClose(peer);
  return head;
}

export async function echoAndClose(peer: Peer): Promise<void> {
  await echo(peer, TEXT, Buffer.from('open'));
  await closeCleanly(peer);
}

/** Expects that the server accepts a handshake on a session, and on another one after its end. */
export async function expectAlive(attempt: ServerAttempt, session?: Http2Session): Promise<void> {
  const other =
    session === undefined || session.ended || session.goaway !== undefined
      ? await attempt.connectHttp2()
      : session;
  await echoAndClose((await acceptedOn(attempt, other)).peer);
}

/**
 * Sends a request on a new session, and expects a refusal: an error status, a reset, or the end of the
 * session (RFC 9113, 5.4.1 and 8.1.1). Then other handshakes work.
 *
 * @returns The answer, if any.
 */
export async function expectRefused(
  attempt: ServerAttempt,
  request: StreamRequest,
): Promise<Head | undefined> {
  const session = await attempt.connectHttp2();
  const stream = sendRequest(attempt, session, request);
  const head = await answerOf(session, stream);
  if (isAccepted(stream)) {
    attempt.fail(`the server accepted the request with ${stream.status}, expected a refusal`);
  }
  if (head !== undefined && stream.status < 400) {
    attempt.fail(`the refusal has status ${stream.status}, expected an error status`);
  }
  await expectAlive(attempt, session);
  return head;
}

/** Sends a request that the server may accept or refuse. A yes must be valid. */
export async function expectAnswered(
  attempt: ServerAttempt,
  request: StreamRequest,
): Promise<void> {
  const session = await attempt.connectHttp2();
  const stream = sendRequest(attempt, session, request);
  await answerOf(session, stream);
  if (!isAccepted(stream)) return expectAlive(attempt, session);
  await echoAndClose((await acceptedOn(attempt, session, request, stream)).peer);
}

/** An open connection and its session. */
export interface Opened {
  readonly session: Http2Session;
  readonly stream: Http2Stream;
  readonly peer: Peer;
}

/** Opens a connection on a new session. */
export async function openStream(attempt: ServerAttempt): Promise<Opened> {
  const session = await attempt.connectHttp2();
  return { session, ...(await acceptedOn(attempt, session)) };
}
