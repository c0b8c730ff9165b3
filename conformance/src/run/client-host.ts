import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { ClientAttempt } from '../attempts/client-attempt.ts';
import { ClientRecord } from '../attempts/client-record.ts';
import type { Case, CaseResult, Verdict } from '../model/case.ts';
import { closePayload } from '../wire/expect.ts';
import { CLOSE, TEXT } from '../wire/frame.ts';
import { judge, resultOf } from './judge.ts';
import { TlsEnd } from './tls-end.ts';

/** The Autobahn suite's name of each verdict. */
const BEHAVIORS: Readonly<Record<Verdict, string>> = {
  pass: 'OK',
  advice: 'INFORMATIONAL',
  'non-strict': 'NON-STRICT',
  fail: 'FAILED',
  skipped: 'UNIMPLEMENTED',
  error: 'UNIMPLEMENTED',
};

/** Where the suite waits for a client. */
export interface ListenAddress {
  readonly host: string;
  /** 0: a free port. */
  readonly port: number;
}

/** Certificate and private key of the suite, in PEM. */
export interface ListenTls {
  readonly cert: string;
  readonly key: string;
}

/**
 * The server for a client under test. The paths are those of the Autobahn suite: `/getCaseCount`
 * sends the number of cases, `/getCaseInfo?case=N` describes a case, `/runCase?case=N` runs it
 * (from 1), `/getCaseStatus?case=N` sends its verdict, `/updateReports` only closes. `/<id>` runs a
 * case too. The first connection for a case runs it; later ones get 404.
 */
export class ClientHost {
  readonly cases: readonly Case<ClientAttempt>[];
  /** Number of connections so far. */
  connections = 0;
  readonly #record = new ClientRecord();
  readonly #timeout: number;
  readonly #onResult: ((result: CaseResult) => void) | undefined;
  readonly #allBytes: boolean;
  readonly #server: Server;
  #secureContext: SecureContext | undefined;
  readonly #results: (CaseResult | undefined)[];
  readonly #started = new Set<number>();
  /** Indices of the cases that the command can ask for, by its numbers. */
  #numbered: readonly number[];
  /** The case of the last connection; undefined when it asked for no case. */
  #lastCase: number | undefined;
  readonly #survival = new Set<number>();
  /** Fault of the last connection that sent no valid request. */
  #requestFault: string | undefined;
  readonly #running = new Set<Promise<void>>();
  #listeners = new Set<() => void>();

  constructor(
    cases: readonly Case<ClientAttempt>[],
    timeout: number,
    onResult: ((result: CaseResult) => void) | undefined,
    allBytes = false,
  ) {
    this.cases = cases;
    this.#timeout = timeout;
    this.#onResult = onResult;
    this.#allBytes = allBytes;
    this.#results = cases.map(() => undefined);
    this.#numbered = [...cases.keys()];
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  /** Starts listening, over TLS with `tls`. @returns The URL without a trailing slash. */
  async listen({ host, port }: ListenAddress, tls?: ListenTls): Promise<string> {
    if (tls !== undefined) this.#secureContext = createSecureContext(tls);
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    const name = host.includes(':') ? `[${host}]` : host;
    return `${tls === undefined ? 'ws' : 'wss'}://${name}:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Path and query of the URL for the case at this index. */
  targetOf(at: number): string {
    return this.cases[at]!.target ?? `/runCase?case=${at + 1}`;
  }

  /** Stops listening, and waits for the open connections. */
  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    await this.allDone();
    await closed;
  }

  /** True when every case has a result. */
  get complete(): boolean {
    return this.#results.every((result) => result !== undefined);
  }

  /** Results in the order of the suite. Call {@link failMissing} first to include every case. */
  get results(): CaseResult[] {
    return this.#results.filter((result) => result !== undefined);
  }

  /** Waits for the open connections. */
  async allDone(): Promise<void> {
    await Promise.all(this.#running);
  }

  /**
   * Waits for a new or ended connection, or for `or`. @returns False after `ms` without
   * connections.
   */
  async nextActivity(ms: number, or: Promise<void>): Promise<boolean> {
    const happened = await this.#next(ms, or);
    return happened || this.#running.size > 0;
  }

  /**
   * Waits for the result of a case.
   *
   * @param at - Index of the case.
   * @param ms - Time for the client to connect.
   * @param or - Resolves when the client can no longer connect.
   * @returns False when the client did not connect.
   */
  async waitForResult(at: number, ms: number, or: Promise<void>): Promise<boolean> {
    let exited = false;
    const exit = or.then(() => {
      exited = true;
    });
    while (this.#results[at] === undefined) {
      const started = this.#started.has(at);
      if (exited && !started) return false;
      if (!(await this.#next(ms, started ? never : exit)) && !started) return false;
    }
    return true;
  }

  /** Number of cases that a connection has asked for. */
  get asked(): number {
    return this.#started.size;
  }

  /** True when the last connection was for a case, which is over. */
  get lastIsCase(): boolean {
    return this.#lastCase !== undefined && this.#results[this.#lastCase] !== undefined;
  }

  /** True when the last connection was for a case that the client must survive. */
  get lastMustSurvive(): boolean {
    return this.#lastCase !== undefined && this.#survival.has(this.#lastCase);
  }

  /** True when the client must survive the case at this index. */
  mustSurvive(at: number): boolean {
    return this.#survival.has(at);
  }

  /** A new client counts from 1: gives these numbers to the cases that no connection has asked for. */
  renumber(): void {
    this.#numbered = [...this.cases.keys()].filter((at) => !this.#started.has(at));
    this.#lastCase = undefined;
  }

  /** Gives a case another verdict. Default: the case of the last connection fails. */
  blame(reason: string, at: number | undefined = this.#lastCase, verdict: Verdict = 'fail'): void {
    const result = at === undefined ? undefined : this.#results[at];
    if (at === undefined || result === undefined) return;
    const because = [reason, ...result.because];
    this.#setResult(at, {
      ...result,
      verdict: verdict === 'fail' || result.verdict === 'pass' ? verdict : result.verdict,
      because,
    });
  }

  /** Fails the first case without a result, and skips the others: they have the same cause. */
  failMissing(reason: string): void {
    const [first, ...others] = [...this.cases.keys()].filter(
      (at) => this.#results[at] === undefined,
    );
    if (first === undefined) return;
    this.failUnasked(first, reason);
    for (const at of others) {
      const because = [`the client did not connect after case ${this.cases[first]!.id}`];
      this.#setResult(at, resultOf(this.cases[at]!, 'skipped', because));
    }
  }

  /** Fails a case for which the client did not connect. */
  failUnasked(at: number, reason: string): void {
    const also =
      this.#requestFault === undefined
        ? []
        : [`a connection sent no valid request: ${this.#requestFault}`];
    const because = [`the client did not connect for this case: ${reason}`, ...also];
    this.#setResult(at, resultOf(this.cases[at]!, 'fail', because));
  }

  async #next(ms: number, or: Promise<void>): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    let listener: (() => void) | undefined;
    const happened = await new Promise<boolean>((done) => {
      listener = () => done(true);
      this.#listeners.add(listener);
      timer = setTimeout(() => done(false), ms);
      void or.then(listener);
    });
    clearTimeout(timer);
    this.#listeners.delete(listener!);
    return happened;
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  #setResult(at: number, result: CaseResult): void {
    this.#results[at] = result;
    this.#onResult?.(result);
  }

  #accept(socket: Socket): void {
    this.connections++;
    const visit = this.#handle(socket).finally(() => {
      this.#running.delete(visit);
      this.#notify();
    });
    this.#running.add(visit);
    this.#notify();
  }

  async #handle(tcp: Socket): Promise<void> {
    const tls = this.#secureContext && new TlsEnd(tcp, this.#secureContext);
    const socket = tls?.socket ?? tcp;
    const attempt = new ClientAttempt(socket, this.#timeout, this.#record, tcp, tls);
    attempt.transcript.complete = this.#allBytes;
    let hasRequest = false;
    try {
      const head = await attempt.readRequest();
      if (head === undefined) {
        if (tls !== undefined) this.#requestFault = 'TLS ended without a request';
        return;
      }
      hasRequest = true;
      const target = new URL(head.start.split(' ')[1] ?? '/', 'ws://localhost');
      const at = this.#caseIndex(target);
      this.#lastCase = at;
      if (at === undefined) await this.#serve(attempt, target);
      else {
        this.#started.add(at);
        const { result } = await judge(this.cases[at]!, attempt);
        if (attempt.mustSurvive) this.#survival.add(at);
        this.#setResult(at, result);
      }
    } catch (error) {
      // An invalid request names no case. The intended case is reported as missing.
      if (!hasRequest) this.#requestFault = (error as Error).message;
    } finally {
      attempt.dispose();
    }
  }

  /** Returns the index of the requested case; undefined when it does not exist or has started. */
  #caseIndex({ pathname, search, searchParams }: URL): number | undefined {
    const [name] = pathname === '/' ? search.slice(1).split('&') : pathname.slice(1).split('/');
    const at =
      pathname === '/runCase'
        ? this.#indexOf(searchParams)
        : this.cases.findIndex(({ id }) => id === name);
    return this.cases[at] === undefined || this.#started.has(at) ? undefined : at;
  }

  /** Returns the index of the case with the number of a request, or -1. */
  #indexOf(searchParams: URLSearchParams): number {
    return this.#numbered[Number(searchParams.get('case')) - 1] ?? -1;
  }

  async #serve(attempt: ClientAttempt, { pathname, searchParams }: URL): Promise<void> {
    if (pathname === '/getCaseCount') await sendAndClose(attempt, String(this.#numbered.length));
    else if (pathname === '/getCaseInfo') {
      const one = this.cases[this.#indexOf(searchParams)];
      await sendAndClose(attempt, JSON.stringify({ id: one?.id, description: one?.title }));
    } else if (pathname === '/getCaseStatus') {
      const verdict = this.#results[this.#indexOf(searchParams)]?.verdict;
      await sendAndClose(attempt, JSON.stringify({ behavior: verdict && BEHAVIORS[verdict] }));
    } else if (pathname === '/updateReports') await sendAndClose(attempt);
    else await attempt.answer([['Content-Length', '0']], 'HTTP/1.1 404 Not Found');
  }
}

const never = new Promise<void>(() => undefined);

/** Accepts the handshake, sends a text, closes, and waits for the end of the connection. */
async function sendAndClose(attempt: ClientAttempt, text?: string): Promise<void> {
  const peer = await attempt.accept();
  const message = text === undefined ? [] : [{ opcode: TEXT, payload: Buffer.from(text) }];
  await peer.sendFrames(...message, { opcode: CLOSE, payload: closePayload(1000) });
  while ((await peer.next('the answer to our close frame')).kind !== 'close');
  peer.endWrites();
  await peer.waitForEnd();
}
