import { DEFLATE_OFFER, type RequestSettings, ServerAttempt } from '../attempts/server-attempt.ts';
import { Unreachable } from '../model/verdicts.ts';
import { closePayload } from '../wire/expect.ts';
import { CLOSE, PING, TEXT } from '../wire/frame.ts';
import { headText } from '../wire/handshake.ts';
import { fieldOf, statusOf } from '../wire/head.ts';
import { serverUrl } from './run-server.ts';
import { type Capability, DEFAULT_TIMEOUT } from './suite-report.ts';

/** Options of {@link probeServer}. */
export interface ProbeOptions extends RequestSettings {
  /** Maximum duration of a single wait, in ms. Default: 5000. */
  readonly timeout?: number | undefined;
}

/**
 * Checks that a server can be asked at all: it accepts a handshake and answers a message, or a
 * ping without echoes.
 *
 * @param url - A `ws://` or `wss://` URL.
 * @param options - The request and the time limit.
 * @param required - What the server must accept.
 * @returns undefined, or one sentence why the suite would report the same failure in each case.
 *
 * @example
 * ```ts
 * import { probeServer } from '@ws/conformance';
 *
 * console.log(await probeServer('ws://127.0.0.1:9')); // why the suite cannot run
 * ```
 */
export async function probeServer(
  url: string,
  { timeout = DEFAULT_TIMEOUT, ...settings }: ProbeOptions = {},
  required: readonly Capability[] = [],
): Promise<string | undefined> {
  const attempt = new ServerAttempt(serverUrl(url), timeout, settings);
  try {
    return (await probe(attempt)) ?? (await missing(attempt, required));
  } catch (error) {
    if (error instanceof Unreachable) return error.message;
    // The server answers something. The cases report what is wrong with it.
    return undefined;
  } finally {
    attempt.dispose();
  }
}

const PROBE = Buffer.from('probe');

async function probe(attempt: ServerAttempt): Promise<string | undefined> {
  const peer = await attempt.connect();
  const request = headText(`GET ${attempt.target} HTTP/1.1`, attempt.fields());
  await peer.send(Buffer.from(request, 'latin1'));
  const head = await peer.readHead('the answer to the handshake').catch(() => undefined);
  if (head === undefined) return 'the server did not answer a handshake with HTTP';
  if (statusOf(head) !== 101) {
    return `the server answered the handshake with "${head.start}"; check the path, and see --header and --subprotocol`;
  }
  const opcode = attempt.echoes ? TEXT : PING;
  await peer.sendFrames({ opcode, payload: PROBE });
  const answer = await peer.nextWithin('the echo', attempt.timeout, { pongs: true });
  if (answer === undefined) {
    return attempt.echoes
      ? 'the server accepted the handshake and did not echo a message; see --no-echo'
      : 'the server accepted the handshake and did not answer a ping';
  }
  if (answer.kind === 'message' && !answer.payload.equals(PROBE)) {
    return 'the server answered a text with another message, so it does not echo; start an echo server, or pass --no-echo';
  }
  await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000) });
  return undefined;
}

/** @returns One sentence when the server declines a required capability. */
async function missing(
  attempt: ServerAttempt,
  required: readonly Capability[],
): Promise<string | undefined> {
  if (required.length === 0) return undefined;
  const peer = await attempt.connect();
  const head = await attempt.openOn(peer, { extensions: DEFLATE_OFFER });
  if (required.includes('compression') && peer.deflate === undefined) {
    return `--require compression: the server declined "${DEFLATE_OFFER}"`;
  }
  const selected = fieldOf(head, 'sec-websocket-protocol');
  if (required.includes('subprotocol') && selected === undefined) {
    return `--require subprotocol: the server selected none of ${attempt.subprotocols.join(', ')}`;
  }
  return undefined;
}
