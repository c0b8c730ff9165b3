import type { IncomingMessage } from 'node:http';
import { linesOf } from '@ws/codec/internal';
import { TimeoutError } from '@ws/conn';
import type { FinalResponse } from '@ws/node-client/internal';
import { HandshakeError } from '@ws/node-server';
import {
  type HandshakeWaits,
  isHost,
  isInstance,
  isThenable,
  mergeHeaders,
  serverFault,
  unexpectedResult,
} from '@ws/node-server/internal';
import { ProxyError } from '../errors.ts';
import type { CheckedOptions } from '../options.ts';
import type { Backend } from '../targets/target.ts';
import type { TargetPool } from '../targets/target-pool.ts';
import { faultOf, type Offer } from './answer.ts';
import { checkedLines, type HeaderLine, headersOf } from './end-to-end.ts';
import { openStream, TargetExchange, timedOut } from './exchange.ts';
import { clientLines } from './forwarded.ts';
import { targetPath } from './target-path.ts';

/** A request on its way to a target. */
export interface Question {
  readonly plan: CheckedOptions;
  readonly pool: TargetPool;
  readonly handshake: HandshakeWaits;
  readonly req: IncomingMessage;
  /** The value of the client's Host header. */
  readonly host: string;
  readonly offer: Offer;
  /** Called for each target that is tried. */
  readonly onTarget: (backend: Backend) => void;
}

/**
 * Asks targets for a connection: at most `attempts` of them, until one accepts the stream.
 *
 * @returns A valid 101, or a refusal: every other final status.
 * @throws ProxyError; HandshakeError for a fault of the application; the failure of the handshake.
 */
export async function askTarget(question: Question): Promise<FinalResponse> {
  const { plan, pool, handshake, req, host } = question;
  const fromClient = clientLines(req, host, plan.forwarded, isTrusted(plan, req));
  const tried: Backend[] = [];
  for (;;) {
    const choice = pool.choose(req, tried, handshake);
    const backend = isThenable(choice) ? await handshake.waitForCall('target', choice) : choice;
    const chosenAt = performance.now();
    question.onTarget(backend);
    let failure: FinalResponse | ProxyError;
    try {
      const lines = targetLines(question, backend, fromClient);
      const request = formatRequest(question, backend, isThenable(lines) ? await lines : lines);
      failure = await ask(question, backend, request);
    } catch (error) {
      backend.endCooldown(chosenAt);
      throw error;
    }
    if ('head' in failure) return failure;
    tried.push(backend);
    if (tried.length >= plan.attempts || !pool.hasOther(tried)) throw failure;
  }
}

/** Whether the lines of the request about the client are true. Only `true` trusts. */
function isTrusted({ trust }: CheckedOptions, req: IncomingMessage): boolean {
  if (trust === false) return false;
  try {
    const trusted: unknown = trust(req);
    if (typeof trusted === 'boolean') return trusted;
    throw unexpectedResult('trust', 'true or false', trusted);
  } catch (cause) {
    throw serverFault('trust', cause);
  }
}

/**
 * Asks one target.
 *
 * @returns Its answer, or why there is no stream to it: another target may be tried then.
 * @throws any other failure.
 */
async function ask(
  { plan, pool, handshake, offer, req }: Question,
  backend: Backend,
  request: string,
): Promise<FinalResponse | ProxyError> {
  const { connectTimeout, cooldown, proxy } = plan;
  const askedAt = performance.now();
  let exchange: TargetExchange | undefined;
  try {
    const isPlain = !backend.address.secure && proxy === false;
    const stream = isPlain
      ? undefined
      : await handshake.wait(openStream(backend, proxy, connectTimeout, handshake.signal));
    exchange = new TargetExchange(backend, stream, connectTimeout, request);
    const answer = await handshake.wait(exchange.answer);
    checkAnswer(answer, offer, backend);
    backend.answered(req.url!);
    return answer;
  } catch (error) {
    exchange?.abandon();
    const failure = explained(error, backend, handshake);
    if (!isInstance(failure, ProxyError)) throw failure;
    if (handshake.failure !== undefined) {
      // The last target that is up stays up.
      const isCounted =
        isSilent(failure, backend, askedAt, handshake) &&
        !backend.mayBeSlow(req.url!) &&
        pool.hasOther([backend]);
      if (isCounted) backend.countFailure(cooldown);
      throw failure;
    }
    // A client can cause these: many servers close without an answer to refuse a path.
    if (exchange?.isOpen) throw failure;
    backend.countFailure(cooldown);
    return failure;
  }
}

/**
 * Whether a timeout counts as a failure of the target. A client can request a path that hangs. So it
 * counts only if the target has neither answered nor failed since `askedAt`: one that answers others
 * is up, and requests that hang together are one failure.
 */
function isSilent(
  { code }: ProxyError,
  { lastResultAt }: Backend,
  askedAt: number,
  { timeout }: HandshakeWaits,
): boolean {
  // Functions of the application may have used up most of the time.
  const hadTime = performance.now() - askedAt >= timeout / 2;
  return code === 'WS_ERR_PROXY_TIMEOUT' && hadTime && lastResultAt < askedAt;
}

/** The time of the handshake is up: the target has not answered. */
function explained(error: unknown, { url }: Backend, { timeout }: HandshakeWaits): unknown {
  if (!isInstance(error, HandshakeError) || !isInstance(error.cause, TimeoutError)) return error;
  return timedOut(`${url} has not answered`, 'handshakeTimeout', timeout, error);
}

/** @throws ProxyError 502 for an invalid 101. */
function checkAnswer({ head, stream }: FinalResponse, offer: Offer, { url }: Backend): void {
  const fault = head.status === 101 ? faultOf(head, offer) : undefined;
  if (fault === undefined) return;
  stream.destroy();
  throw new ProxyError('WS_ERR_PROXY_TARGET', 502, `${url}: ${fault}`);
}

/** The lines for one target, after the last word of `director`. */
function targetLines(
  { plan, handshake, req, host }: Question,
  backend: Backend,
  fromClient: readonly HeaderLine[],
): readonly HeaderLine[] | Promise<readonly HeaderLine[]> {
  const own: HeaderLine = ['Host', plan.host === 'target' ? backend.address.host : host];
  const lines = mergeHeaders([own, ...fromClient], backend.headers);
  return plan.director === undefined ? lines : directed(plan.director, handshake, req, lines);
}

async function directed(
  director: NonNullable<CheckedOptions['director']>,
  handshake: HandshakeWaits,
  req: IncomingMessage,
  lines: readonly HeaderLine[],
): Promise<readonly HeaderLine[]> {
  const headers = headersOf(lines);
  try {
    const { signal } = handshake;
    await handshake.waitForCall('director', director(req, headers, { signal }));
    const host = headers.get('host');
    if (host === null || !isHost(host)) {
      throw new TypeError(`director: Host must be host[:port], got ${JSON.stringify(host)}`);
    }
    return checkedLines('director', headers);
  } catch (cause) {
    throw handshake.failure ?? serverFault('director', cause);
  }
}

/** Formats the request of a handshake with a target. */
function formatRequest(
  { offer: { key, subprotocols, extensions }, req }: Question,
  backend: Backend,
  lines: readonly HeaderLine[],
): string {
  return (
    `GET ${targetPath(backend, req.url!)} HTTP/1.1\r\nUpgrade: websocket\r\n` +
    `Connection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n` +
    (subprotocols === '' ? '' : `Sec-WebSocket-Protocol: ${subprotocols}\r\n`) +
    (extensions === '' ? '' : `Sec-WebSocket-Extensions: ${extensions}\r\n`) +
    `${linesOf(lines)}\r\n`
  );
}
