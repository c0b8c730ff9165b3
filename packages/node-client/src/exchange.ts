import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import { type HeadFault, ResponseHead } from '@ws/codec';
import { dialError } from './dial-error.ts';
import type { DialScope } from './dial-scope.ts';
import { BadHandshakeError } from './errors.ts';
import { checkOpen } from './guarded-stream.ts';
import { incomingHeaders } from './incoming-headers.ts';
import { MAX_BODY, RefusalBody } from './refusal-body.ts';

/** One request over an open stream. */
export interface HttpRequest {
  /** GET for a handshake with a server, CONNECT for a tunnel through a proxy. */
  readonly method: 'GET' | 'CONNECT';
  /** The whole request in Latin-1. */
  readonly text: string;
  /** Whether the stream is encrypted. */
  readonly secure: boolean;
}

/** One response. */
export interface HttpResponse {
  readonly status: number;
  readonly httpVersion: string;
  /** As in node:http. */
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as received. */
  readonly rawHeaders: readonly string[];
  /** The first bytes after the head; empty when a proxy has opened the tunnel. */
  readonly body: Buffer;
  /** The bytes that came with a 101: the first frames. */
  readonly head: Buffer;
  /** Whether Upgrade and Connection announce a WebSocket without a tab in Connection. */
  readonly upgraded: boolean;
}

/** Most bytes up to the end of the response head, including interim responses (1xx). */
const MAX_HEAD = 64 * 1024;
const MAX_INTERIM = 10;
const NO_BYTES: Buffer = Buffer.alloc(0);

/**
 * Sends a request over `stream` and reads its response, whatever the status. After a 101 or a
 * tunnel's 2xx the stream is paused and has none of our listeners. Bytes that followed a tunnel's 2xx
 * are the next to be read from it.
 *
 * @throws BadHandshakeError with status 0 when the response is not HTTP or exceeds a bound;
 *   TransportError when the stream ends; the reason of the scope's signal when that aborts.
 */
export async function exchange(
  stream: Duplex,
  httpRequest: HttpRequest,
  scope: DialScope,
): Promise<HttpResponse> {
  scope.signal.throwIfAborted();
  checkOpen(stream);
  return new Exchange(stream, httpRequest, scope).response;
}

/** Names in error messages. */
interface Labels {
  readonly peer: string;
  readonly answer: string;
  /** The likely cause when a peer without encryption breaks the connection at once. */
  readonly perhaps: string;
}
const LABELS: Readonly<Record<HttpRequest['method'], Labels>> = {
  GET: {
    peer: 'the server',
    answer: 'the answer',
    perhaps: 'perhaps the server speaks TLS; use wss:',
  },
  CONNECT: {
    peer: 'the proxy',
    answer: 'the answer of the proxy',
    perhaps: 'perhaps the proxy speaks TLS; use https:',
  },
};

/** The first byte of a TLS alert (RFC 8446, section 5.1): the answer to a request without TLS. */
const TLS_ALERT = 0x15;

/**
 * One pending request. The first event decides: a response, the end of the stream, an exceeded
 * bound or an abort.
 */
class Exchange {
  readonly response: Promise<HttpResponse>;
  readonly #stream: Duplex;
  readonly #method: HttpRequest['method'];
  readonly #scope: DialScope;
  readonly #labels: Labels;
  readonly #secure: boolean;
  #resolve!: (answer: HttpResponse) => void;
  #reject!: (reason: unknown) => void;
  #head: ResponseHead;
  /** Bytes of heads so far. */
  #received = 0;
  #interim = 0;
  /** Collects the body of a refusal, after its head. */
  #body: RefusalBody | undefined;

  constructor(stream: Duplex, { method, text, secure }: HttpRequest, scope: DialScope) {
    this.#stream = stream;
    this.#secure = secure;
    this.#method = method;
    this.#head = this.#createHead();
    this.#scope = scope;
    this.#labels = LABELS[method];
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    scope.signal.addEventListener('abort', this.#onAbort);
    stream.on('error', this.#onError).on('end', this.#onEnd).on('close', this.#onEnd);
    stream.on('data', this.#onData);
    // A 'data' listener alone does not resume a stream that its owner has paused.
    stream.resume();
    stream.write(text, 'latin1');
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#body !== undefined) return this.#body.push(chunk);
    if (this.#received === 0 && chunk[0] === TLS_ALERT) {
      return this.#fail(faultOf(TLS_ANSWER, this.#labels, this.#advice));
    }
    for (let rest = chunk; ; ) {
      const head = this.#head;
      const verdict = head.push(rest);
      if (verdict === 'fault') return this.#fail(faultOf(head.fault!, this.#labels));
      this.#received += verdict === 'more' ? rest.length : head.end;
      if (verdict === 'more') return;
      rest = rest.subarray(head.end);
      if (head.status >= 200 || head.status === 101) return this.#onHead(head, rest);
      if (++this.#interim > MAX_INTERIM) {
        const who = this.#method === 'CONNECT' ? ' of the proxy' : '';
        return this.#failBy(
          toHttpResponse(head),
          `more than ${MAX_INTERIM} interim answers (1xx)${who}`,
        );
      }
      // No answer may follow then: node:http refuses one too.
      if (isLast(head)) return this.#fail(faultOf(LAST_INTERIM, this.#labels));
      this.#head = this.#createHead();
    }
  };

  /** @param rest - The bytes after the head. */
  #onHead(head: ResponseHead, rest: Buffer): void {
    const response = toHttpResponse(head);
    if (this.#method === 'GET' ? head.status !== 101 : !isSuccess(head.status)) {
      return this.#readBody(head, response, rest);
    }
    this.#settle();
    if (this.#method === 'CONNECT') {
      // In this turn: in a later one the stream may have ended.
      if (rest.length > 0) this.#stream.unshift(rest);
      return this.#resolve(response);
    }
    // The server may end the stream before the cookies are stored. Its messages are still valid.
    this.#stream.allowHalfOpen = true;
    this.#resolve({ ...response, body: Buffer.from(rest.subarray(0, MAX_BODY)), head: rest });
  }

  #readBody(head: ResponseHead, response: HttpResponse, rest: Buffer): void {
    this.#body = new RefusalBody(head, this.#scope.remaining, (body) => {
      this.#settle();
      this.#resolve({ ...response, body });
    });
    this.#body.push(rest);
  }

  /** Fails for a response that was read. */
  #failBy(response: HttpResponse, message: string): void {
    this.#fail(new BadHandshakeError(message, response));
  }

  #fail(error: unknown): void {
    this.#settle();
    this.#reject(error);
  }

  #createHead(): ResponseHead {
    const limits = { maxBytes: Math.max(1, MAX_HEAD - this.#received) };
    return this.#method === 'GET' ? new ResponseHead(limits) : new TunnelHead(limits);
  }

  /** Removes our listeners from the stream and the signal. */
  #settle(): void {
    this.#body?.stop();
    this.#scope.signal.removeEventListener('abort', this.#onAbort);
    const stream = this.#stream.off('data', this.#onData).off('error', this.#onError);
    stream.off('end', this.#onEnd).off('close', this.#onEnd).pause();
  }

  readonly #onError = (error: Error): void => {
    // After the response head an error concerns the body only.
    if (this.#body !== undefined) this.#body.complete();
    else this.#fail(broken(error, this.#labels, this.#received === 0 ? this.#advice : ''));
  };

  get #advice(): string {
    return this.#secure ? '' : `; ${this.#labels.perhaps}`;
  }

  readonly #onEnd = (): void => this.#onError(this.#stream.errored ?? hangUp());

  readonly #onAbort = (): void => this.#fail(this.#scope.signal.reason);
}

/** Whether a proxy has opened the tunnel: any 2xx does (RFC 9110, section 9.3.6). */
export function isSuccess(status: number): boolean {
  return status >= 200 && status <= 299;
}

/** The answer to CONNECT. The fields that announce a body have no meaning when it opens the tunnel. */
class TunnelHead extends ResponseHead {
  protected override hasUnclearBody(): boolean {
    return !isSuccess(this.status) && super.hasUnclearBody();
  }
}

/** Returns a response without the bytes after its head. */
function toHttpResponse(head: ResponseHead): HttpResponse {
  const rawHeaders = head.all().flat();
  return {
    status: head.status,
    httpVersion: `1.${head.minor}`,
    headers: incomingHeaders(rawHeaders),
    rawHeaders,
    body: NO_BYTES,
    head: NO_BYTES,
    upgraded: head.wantsWebSocket,
  };
}

const LAST_INTERIM: HeadFault = {
  status: 400,
  message: 'an interim answer (1xx) ends the connection',
};

/** Whether an interim response says that the connection ends after it. */
function isLast(head: ResponseHead): boolean {
  return head.minor === 0 || /close/i.test(head.list('connection') + head.list('proxy-connection'));
}

const TLS_ANSWER: HeadFault = { status: 400, message: 'a TLS alert' };

function faultOf(
  { status, message }: HeadFault,
  { answer }: Labels,
  advice = '',
): BadHandshakeError {
  if (status === 431) {
    return new BadHandshakeError(`the head of ${answer} is larger than ${MAX_HEAD} bytes`);
  }
  // The prefix of the codes of node:http's parser: callers may know it.
  const cause = Object.assign(new Error(message), { code: 'HPE_INVALID_HEAD' });
  const text = `${answer} is not HTTP; check host and port${advice}`;
  return new BadHandshakeError(text, undefined, { cause });
}

function broken(error: Error, { peer }: Labels, advice: string): Error {
  return dialError(`the connection broke before ${peer} answered`, error, 'server', advice);
}

/** The error of node:http for a stream that ended before the response. */
function hangUp(): Error {
  return Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
}
