import type { Duplex } from 'node:stream';
import { ResponseHead } from '@ws/codec';
import { TimeoutError } from '@ws/conn';
import { isInstance } from '@ws/http-shared';
import {
  chooseProxy,
  DialScope,
  type GuardedStream,
  type ProxyPlan,
} from '@ws/node-client/internal';
import { ProxyError } from '../errors.ts';
import type { Backend } from '../targets/target.ts';

/** Most interim responses (1xx) before the answer. */
const MAX_INTERIM = 10;

/** The head of a target's answer, and the stream that it came from. */
export interface Answer {
  /** Paused. */
  readonly stream: GuardedStream;
  readonly head: ResponseHead;
  /** The bytes that came after the head: the first frames, or the start of a body. */
  readonly rest: Buffer;
}

/**
 * Opens a stream to a target.
 *
 * @throws ProxyError 502 or 504; the reason of `signal`.
 */
export async function openStream(
  backend: Backend,
  proxy: ProxyPlan,
  timeout: number,
  signal: AbortSignal,
): Promise<GuardedStream> {
  const scope = new DialScope(timeout, signal);
  scope.peer = String(backend.address.address);
  try {
    const via = await chooseProxy(proxy, backend.address, scope);
    const guarded = await backend.connector.open(backend.address, via, true, scope);
    noDelay(guarded.stream);
    return guarded;
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw isInstance(cause, TimeoutError)
      ? timedOut(`no connection to ${backend.url}`, 'connectTimeout', timeout, cause)
      : unreachable(`no connection to ${backend.url}`, cause);
  } finally {
    scope.end();
  }
}

export function timedOut(
  what: string,
  option: 'connectTimeout' | 'handshakeTimeout',
  ms: number,
  cause: unknown,
): ProxyError {
  const message = `${what} within ${ms} ms (option ${option})`;
  return new ProxyError('WS_ERR_PROXY_TIMEOUT', 504, message, { cause });
}

function unreachable(message: string, cause: unknown): ProxyError {
  return new ProxyError('WS_ERR_PROXY_TARGET', 502, message, { cause });
}

/** Frames are small and written whole: Nagle's algorithm would only delay them. */
function noDelay(stream: Duplex & { setNoDelay?: (on: boolean) => unknown }): void {
  stream.setNoDelay?.(true);
}

/**
 * Sends the request and reads the head of the answer. The stream is paused then.
 *
 * @throws ProxyError 502; the reason of `signal`. The caller destroys the stream.
 */
export function exchange(
  guarded: GuardedStream,
  request: string,
  backend: Backend,
  signal: AbortSignal,
): Promise<Answer> {
  const { stream } = guarded;
  return new Promise((resolve, reject) => {
    let head = new ResponseHead();
    let interim = 0;
    const settle = (): void => {
      stream.off('data', onData).off('end', onEnd).off('close', onEnd).pause();
      signal.removeEventListener('abort', onAbort);
    };
    const fail = (why: string, cause?: unknown): void => {
      settle();
      reject(unreachable(`${backend.url}: ${why}`, cause));
    };
    const onEnd = (): void => fail('it closed the connection before its answer', guarded.error);
    const onAbort = (): void => {
      settle();
      reject(signal.reason);
    };
    const onData = (chunk: Buffer): void => {
      let bytes = chunk;
      for (;;) {
        const verdict = head.push(bytes);
        if (verdict === 'more') return;
        if (verdict === 'fault') return fail(`its answer is not HTTP: ${head.fault!.message}`);
        const { status, end } = head;
        bytes = bytes.subarray(end);
        if (status >= 200 || status === 101) {
          settle();
          return resolve({ stream: guarded, head, rest: bytes });
        }
        if (++interim > MAX_INTERIM) return fail(`more than ${MAX_INTERIM} interim answers (1xx)`);
        head = new ResponseHead();
      }
    };
    signal.addEventListener('abort', onAbort);
    stream.on('data', onData).on('end', onEnd).on('close', onEnd);
    stream.write(request, 'latin1');
    if (stream.destroyed) onEnd();
    stream.resume();
  });
}
