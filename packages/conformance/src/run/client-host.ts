import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Case, CaseResult, Verdict } from '../model/case.ts';
import { closePayload } from '../wire/expect.ts';
import { CLOSE, TEXT } from '../wire/frame.ts';
import { ClientAttempt } from './client-attempt.ts';
import { ClientRecord } from './client-record.ts';
import { judge, resultOf } from './judge.ts';

/** What the Autobahn suite calls a verdict. */
const BEHAVIORS: Readonly<Record<Verdict, string>> = {
  pass: 'OK',
  'non-strict': 'NON-STRICT',
  fail: 'FAILED',
  skipped: 'UNIMPLEMENTED',
};

/**
 * Where a client under test connects to. The paths are the Autobahn suite's: `/getCaseCount` sends the number of cases
 * and closes, `/getCaseInfo?case=N` tells of one, `/runCase?case=N` runs it (from 1), `/getCaseStatus?case=N` tells how it
 * went, `/updateReports` only closes; `/<id>` runs a case too. A case is run for the first connection that comes for it.
 */
export class ClientHost {
  readonly cases: readonly Case<ClientAttempt>[];
  /** Connections so far. */
  visits = 0;
  readonly #record = new ClientRecord();
  readonly #timeout: number;
  readonly #onResult: ((result: CaseResult) => void) | undefined;
  readonly #server: Server;
  readonly #found: (CaseResult | undefined)[];
  readonly #taken = new Set<number>();
  /** Why the last connection that made no request made none. */
  #misfit: string | undefined;
  readonly #running = new Set<Promise<void>>();
  #listeners = new Set<() => void>();

  constructor(
    cases: readonly Case<ClientAttempt>[],
    timeout: number,
    onResult: ((result: CaseResult) => void) | undefined,
  ) {
    this.cases = cases;
    this.#timeout = timeout;
    this.#onResult = onResult;
    this.#found = cases.map(() => undefined);
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#welcome(socket));
  }

  /** Listens on a free port of this machine; the URL, without a slash at its end. */
  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    await this.settled();
    await closed;
  }

  /** Whether every case has a result. */
  get complete(): boolean {
    return this.#found.every((result) => result !== undefined);
  }

  /** The results, once {@link giveUp} has filled the gaps. */
  get results(): CaseResult[] {
    return this.#found.filter((result) => result !== undefined);
  }

  /** Waits for the connections that are open. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** Waits for the next thing to happen; false when nothing does for `ms`, and nothing is under way. */
  async quiet(ms: number, or: Promise<void>): Promise<boolean> {
    const happened = await this.#next(ms, or);
    return happened || this.#running.size > 0;
  }

  /** Waits for the result of a case; false when the client does not come within `ms`, or `or` is earlier. */
  async judged(at: number, ms: number, or: Promise<void>): Promise<boolean> {
    let gone = false;
    const exit = or.then(() => {
      gone = true;
    });
    while (this.#found[at] === undefined) {
      const under = this.#taken.has(at);
      if (gone && !under) return false;
      if (!(await this.#next(ms, under ? never : exit)) && !under) return false;
    }
    return true;
  }

  /** Marks cases for which nobody came; all of them, or one. */
  giveUp(words: string, only?: number): void {
    this.cases.forEach((one, at) => {
      if (this.#found[at] !== undefined || (only !== undefined && at !== only)) return;
      const also = this.#misfit === undefined ? [] : [`what came was no request: ${this.#misfit}`];
      this.#settle(at, resultOf(one, 'fail', [`nobody came for this case: ${words}`, ...also]));
    });
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

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #settle(at: number, result: CaseResult): void {
    this.#found[at] = result;
    this.#onResult?.(result);
  }

  #welcome(socket: Socket): void {
    this.visits++;
    const visit = this.#visit(socket).finally(() => {
      this.#running.delete(visit);
      this.#tell();
    });
    this.#running.add(visit);
    this.#tell();
  }

  async #visit(socket: Socket): Promise<void> {
    const attempt = new ClientAttempt(socket, this.#timeout, this.#record);
    let asked = false;
    try {
      const head = await attempt.readRequest();
      if (head === undefined) return;
      asked = true;
      const target = new URL(head.start.split(' ')[1] ?? '/', 'ws://localhost');
      const at = this.#caseOf(target);
      if (at === undefined) await this.#serve(attempt, target);
      else {
        this.#taken.add(at);
        const { result } = await judge(this.cases[at]!, attempt);
        this.#settle(at, result);
      }
    } catch (error) {
      // What is no request belongs to no case; the case that it was meant for is told missing.
      if (!asked) this.#misfit = (error as Error).message;
    } finally {
      attempt.dispose();
    }
  }

  /** The case that a target asks for, when it was not run yet. */
  #caseOf({ pathname, searchParams }: URL): number | undefined {
    const at =
      pathname === '/runCase'
        ? Number(searchParams.get('case')) - 1
        : this.cases.findIndex(({ id }) => pathname === `/${id}`);
    return this.cases[at] === undefined || this.#taken.has(at) ? undefined : at;
  }

  async #serve(attempt: ClientAttempt, { pathname, searchParams }: URL): Promise<void> {
    if (pathname === '/getCaseCount') await tell(attempt, String(this.cases.length));
    else if (pathname === '/getCaseInfo') {
      const one = this.cases[Number(searchParams.get('case')) - 1];
      await tell(attempt, JSON.stringify({ id: one?.id, description: one?.title }));
    } else if (pathname === '/getCaseStatus') {
      const verdict = this.#found[Number(searchParams.get('case')) - 1]?.verdict;
      await tell(attempt, JSON.stringify({ behavior: verdict && BEHAVIORS[verdict] }));
    } else if (pathname === '/updateReports') await tell(attempt);
    else await attempt.answer([['Content-Length', '0']], 'HTTP/1.1 404 Not Found');
  }
}

const never = new Promise<void>(() => undefined);

/** Accepts, sends a text, closes, and waits for the client to go. */
async function tell(attempt: ClientAttempt, text?: string): Promise<void> {
  const peer = await attempt.accept();
  const message = text === undefined ? [] : [{ opcode: TEXT, payload: Buffer.from(text) }];
  await peer.sendFrames(...message, { opcode: CLOSE, payload: closePayload(1000) });
  while ((await peer.next('the answer to our close frame')).kind !== 'close');
  peer.endWrites();
  await peer.drained();
}
