import type { IncomingMessage } from 'node:http';
import { TimeoutError } from '@ws/conn';
import { isInstance } from '@ws/http-shared';
import { HandshakeError } from '@ws/node-server';
import { type Handshake, serverFault } from '@ws/node-server/internal';
import { ProxyError } from '../errors.ts';
import type { CheckedOptions } from '../options.ts';
import type { Backend } from '../targets/target.ts';
import type { TargetPool } from '../targets/target-pool.ts';
import { called, isTrusted } from './admit.ts';
import { faultOf, type Offer } from './answer.ts';
import { type Answer, exchange, openStream, timedOut } from './connect.ts';
import { withForwarded } from './forwarded.ts';
import {
  endToEnd,
  type HeaderLine,
  headersOf,
  linesFrom,
  linesOf,
  replaced,
} from './header-lines.ts';
import { formatHandshake, hostOf, targetPath } from './request.ts';

/** A request on its way to a target. */
export interface Question {
  readonly plan: CheckedOptions;
  readonly pool: TargetPool;
  readonly handshake: Handshake;
  readonly req: IncomingMessage;
  readonly offer: Offer;
  /** Called for each target that is tried. */
  readonly onTarget: (backend: Backend) => void;
}

/**
 * Asks targets for a connection: at most `attempts` of them, until one accepts the stream.
 *
 * @returns A valid 101, or a refusal with a status of 300 or more.
 * @throws ProxyError; HandshakeError for a fault of the application; the failure of the handshake.
 */
export async function askTarget(question: Question): Promise<Answer> {
  const { plan, pool, handshake, req, onTarget } = question;
  const fromClient = clientLines(plan, req);
  const tried: Backend[] = [];
  for (;;) {
    const choice = pool.choose(req, tried, handshake.signal);
    const backend = await handshake.waitForCall('target', choice);
    onTarget(backend);
    try {
      return await ask(question, backend, await targetLines(question, backend, fromClient));
    } catch (error) {
      if (!isInstance(error, ConnectFailure)) throw error;
      tried.push(backend);
      if (tried.length >= plan.attempts || !pool.hasOther(tried)) throw error.cause;
    }
  }
}

/** No stream to the target could be opened: another may be tried. */
class ConnectFailure extends Error {}

async function ask(
  { plan, handshake, req, offer }: Question,
  backend: Backend,
  lines: readonly HeaderLine[],
): Promise<Answer> {
  const { signal } = handshake;
  const request = formatHandshake(targetPath(backend, req.url!), offer, lines);
  let isOpen = false;
  try {
    const stream = await openStream(backend, plan.proxy, plan.connectTimeout, signal);
    isOpen = true;
    try {
      const answer = await exchange(stream, request, backend, signal);
      checkAnswer(answer, offer, backend);
      backend.answered();
      return answer;
    } catch (error) {
      stream.destroy();
      throw error;
    }
  } catch (error) {
    const failure = explained(error, backend, handshake);
    if (isInstance(failure, ProxyError)) backend.connectFailed(plan.cooldown);
    if (isOpen || signal.aborted) throw failure;
    throw new ConnectFailure('', { cause: failure });
  }
}

/** The time of the handshake is up: the target has not answered. */
function explained(error: unknown, backend: Backend, { timeout }: Handshake): unknown {
  if (!isInstance(error, HandshakeError) || !isInstance(error.cause, TimeoutError)) return error;
  return timedOut(`${backend.url} has not answered`, 'handshakeTimeout', timeout, error);
}

/** @throws ProxyError 502 for an answer that is neither a valid 101 nor a refusal. */
function checkAnswer({ head }: Answer, offer: Offer, backend: Backend): void {
  const { status } = head;
  const fault = status === 101 ? faultOf(head, offer) : undefined;
  if (fault !== undefined) {
    throw new ProxyError('WS_ERR_PROXY_TARGET', 502, `${backend.url}: ${fault}`);
  }
  if (status === 101 || status >= 300) return;
  const message = `${backend.url} answered ${status}: it does not speak WebSocket on this path`;
  throw new ProxyError('WS_ERR_PROXY_REFUSED', 502, message);
}

/** The client's lines that every target gets. */
function clientLines(plan: CheckedOptions, req: IncomingMessage): HeaderLine[] {
  const lines = endToEnd(linesOf(req.rawHeaders));
  return withForwarded(lines, req, hostOf(req), plan.forwarded, isTrusted(plan, req));
}

/** The lines for one target, after the last word of `director`. */
async function targetLines(
  { plan, handshake, req }: Question,
  backend: Backend,
  fromClient: readonly HeaderLine[],
): Promise<readonly HeaderLine[]> {
  const host = plan.host === 'target' ? backend.address.host : hostOf(req);
  const lines = replaced(replaced(fromClient, [['Host', host]]), backend.headers);
  const { director } = plan;
  if (director === undefined) return lines;
  const headers = headersOf(lines);
  await called(handshake, 'director', () => director(req, headers) as Promise<void>);
  try {
    const edited = linesFrom(headers, 'director');
    if (!headers.has('host')) throw new TypeError('director: Host must not be deleted; set it');
    return edited;
  } catch (cause) {
    throw serverFault('director', cause);
  }
}
