import type { IncomingMessage } from 'node:http';
import { linesOf, parseHostPort } from '@ws/codec/internal';
import { TimeoutError } from '@ws/conn';
import { isThenable, kind } from '@ws/conn/internal';
import { isAccepted, SharedSession, Unprocessed } from '@ws/node-client/internal';
import { cutStream, isInstance } from '@ws/node-io/internal';
import { HandshakeError } from '@ws/node-server';
import {
  mergeHeaders,
  serverFault,
  type UpgradeRequest,
  unexpectedResult,
} from '@ws/node-server/internal';
import { ProxyError } from '../errors.ts';
import type { CheckedOptions } from '../options.ts';
import type { Backend } from '../targets/target.ts';
import { noneFree, type ProxyContext, type TargetPool } from '../targets/target-pool.ts';
import { faultOf, type Offer, type TargetAnswer } from './answer.ts';
import { checkedLines, type HeaderLine, headersOf, withoutLookalikes } from './end-to-end.ts';
import {
  Http1Exchange,
  Http2Exchange,
  openTarget,
  type TargetExchange,
  type TargetRequest,
  timedOut,
  unreachable,
} from './exchange.ts';
import { clientLines } from './forwarded.ts';
import { targetPath } from './target-path.ts';

/** A request on its way to a target. */
export interface Question {
  readonly plan: CheckedOptions;
  readonly pool: TargetPool;
  readonly handshake: ReturnType<UpgradeRequest['acquireWaits']>;
  readonly context: ProxyContext;
  readonly req: IncomingMessage;
  /** The value of the client's Host header. */
  readonly host: string;
  /** The name of the proxy in Via. */
  readonly via: string;
  readonly offer: Offer;
  /** Called for each target that is tried. */
  readonly onTarget: (backend: Backend) => void;
}

/**
 * Asks targets for a connection: at most `attempts` of them, until one accepts the stream.
 *
 * @returns A valid 101 (over HTTP/2: 2xx), or a refusal: every other final status.
 * @throws ProxyError; HandshakeError for a fault of the application; the failure of the handshake.
 */
export async function askTarget(question: Question): Promise<TargetAnswer> {
  const { plan, pool, handshake, context, req, host, via } = question;
  if (req.headers.via?.includes(via)) {
    throw new ProxyError('WS_ERR_PROXY_TARGET', 508, 'a target leads back to this proxy');
  }
  const fromClient = clientLines(req, host, plan.forwarded, isTrusted(plan, req), via);
  const tried: Backend[] = [];
  for (;;) {
    const choice = pool.choose(req, tried, context);
    const backend = isThenable(choice) ? await handshake.waitForCall('target', choice) : choice;
    const chosenAt = performance.now();
    // `onTarget` may start its next cooldown.
    const wasUp = backend.state === 'up';
    question.onTarget(backend);
    let failure: TargetAnswer | ProxyError;
    try {
      const lines = targetLines(question, backend, fromClient);
      const request = requestFor(question, backend, isThenable(lines) ? await lines : lines);
      // Not before: `director` may take long.
      const isFree = pool.startDial(backend, context);
      failure = isFree ? await ask(question, backend, request) : noneFree();
    } catch (error) {
      backend.endDial(context);
      if (wasUp) backend.endCooldown(chosenAt);
      throw error;
    }
    backend.endDial(context);
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
 * @param retry - The target has not processed the request on a session of HTTP/2, or wants HTTP/1.1.
 * @returns Its answer, or why there is no stream to it: another target may be tried then.
 * @throws any other failure.
 */
async function ask(
  question: Question,
  backend: Backend,
  request: TargetRequest,
  retry?: 'on another session' | 'over HTTP/1.1',
): Promise<TargetAnswer | ProxyError> {
  const { plan, pool, handshake, context, offer, req } = question;
  const { connectTimeout, cooldown, proxy, http2 } = plan;
  const askedAt = performance.now();
  const onOpen = (): void => backend.endDial(context);
  let shared: SharedSession | undefined;
  let exchange: TargetExchange | undefined;
  try {
    const isPlain = !backend.address.secure && proxy === false && http2 !== 'only';
    const carrier = isPlain
      ? undefined
      : await handshake.wait(
          openTarget(backend, plan, retry === 'over HTTP/1.1', handshake.signal),
        );
    if (carrier !== undefined) onOpen();
    if (carrier instanceof SharedSession) {
      shared = carrier;
      exchange = new Http2Exchange(backend, carrier, request);
    } else {
      const text = formatRequest(request, offer);
      exchange = new Http1Exchange(backend, carrier, connectTimeout, text, onOpen);
    }
    const answer = await handshake.wait(exchange.answer);
    checkAnswer(answer, offer, backend);
    backend.answered(req.url!);
    return answer;
  } catch (error) {
    exchange?.abandon();
    const needsHttp1 = isInstance(error, Unprocessed) && error.requiresHttp1;
    const isUnprocessed = isInstance(error, Unprocessed) && !error.requiresHttp1;
    // Later requests get another session: this one has ended, or perhaps does not answer.
    if (isUnprocessed) shared?.retire();
    else if (isTimeout(handshake.failure)) shared?.doubt();
    if (needsHttp1 && http2 === 'auto') return ask(question, backend, request, 'over HTTP/1.1');
    if (isUnprocessed && retry === undefined) {
      return ask(question, backend, request, 'on another session');
    }
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
    // Another target may take it.
    if (isUnprocessed) return failure;
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
  { timeout }: Question['handshake'],
): boolean {
  // Functions of the application may have used up most of the time.
  const hadTime = performance.now() - askedAt >= timeout / 2;
  return code === 'WS_ERR_PROXY_TIMEOUT' && hadTime && lastResultAt < askedAt;
}

/** Whether the time of the handshake is up. */
function isTimeout(error: unknown): boolean {
  return isInstance(error, HandshakeError) && isInstance(error.cause, TimeoutError);
}

/** The time of the handshake is up: the target has not answered. */
function explained(error: unknown, { url }: Backend, { timeout }: Question['handshake']): unknown {
  if (isInstance(error, Unprocessed)) {
    if (error.requiresHttp1) {
      return unreachable(`${url} requires HTTP/1.1 (option http2: 'only')`, error);
    }
    const message = `${url} takes no new streams of HTTP/2`;
    return new ProxyError('WS_ERR_PROXY_TARGET', 503, message, { cause: error });
  }
  if (!isTimeout(error)) return error;
  return timedOut(`${url} has not answered`, 'handshakeTimeout', timeout, error);
}

/** @throws ProxyError 502 for an invalid 101. */
function checkAnswer({ head, stream }: TargetAnswer, offer: Offer, { url }: Backend): void {
  const fault = isAccepted(head.version, head.status) ? faultOf(head, offer) : undefined;
  if (fault === undefined) return;
  cutStream(stream);
  throw new ProxyError('WS_ERR_PROXY_TARGET', 502, `${url}: ${fault}`);
}

/** The lines for one target, after the last word of `director`. */
function targetLines(
  question: Question,
  backend: Backend,
  fromClient: readonly HeaderLine[],
): readonly HeaderLine[] | Promise<readonly HeaderLine[]> {
  const { plan, host } = question;
  const own: HeaderLine = ['Host', plan.host === 'target' ? backend.address.host : host];
  const names = backend.headers.map(([name]) => name);
  const others = withoutLookalikes(fromClient, names);
  const lines = mergeHeaders([own, ...others], backend.headers);
  return plan.director === undefined ? lines : directed(plan.director, question, lines);
}

async function directed(
  director: NonNullable<CheckedOptions['director']>,
  { handshake, context, req }: Question,
  lines: readonly HeaderLine[],
): Promise<readonly HeaderLine[]> {
  const headers = headersOf(lines);
  const before = new Headers(headers);
  try {
    const result: unknown = await handshake.waitForCall(
      'director',
      director(req, headers, context),
    );
    if (typeof result === 'string' || kind(result) === 'URL') {
      throw new TypeError(
        'director: returned a URL, but it changes headers; createProxy takes a function that returns the URL of the target',
      );
    }
    const host = headers.get('host');
    if (host === null || parseHostPort(host) === undefined) {
      throw new TypeError(`director: Host must be host[:port], got ${JSON.stringify(host)}`);
    }
    const names = [...before.keys(), ...headers.keys()];
    const changed = names.filter((name) => before.get(name) !== headers.get(name));
    return withoutLookalikes(checkedLines('director', headers), changed);
  } catch (cause) {
    throw handshake.failure ?? serverFault('director', cause);
  }
}

/** The request of a handshake with a target. */
function requestFor(
  { offer: { subprotocols, extensions }, req }: Question,
  backend: Backend,
  lines: readonly HeaderLine[],
): TargetRequest {
  const { secure, host } = backend.address;
  const path = targetPath(backend, req.url!);
  return { secure, host, path, lines, subprotocols, extensions };
}

/** Formats a request for HTTP/1.1. */
function formatRequest(
  { path, lines, subprotocols, extensions }: TargetRequest,
  { key }: Offer,
): string {
  return (
    `GET ${path} HTTP/1.1\r\nUpgrade: websocket\r\n` +
    `Connection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n` +
    (subprotocols === '' ? '' : `Sec-WebSocket-Protocol: ${subprotocols}\r\n`) +
    (extensions === '' ? '' : `Sec-WebSocket-Extensions: ${extensions}\r\n`) +
    `${linesOf(lines)}\r\n`
  );
}
