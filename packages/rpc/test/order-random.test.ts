// Random programs of two ends that serve and call: methods, events, streams, cancels, breaks, handlers that
// are slow, hang, and call back, over a Conn and over a session. SEED=7 RUNS=1000 runs others.
// A seed is always the same program: both ends draw from one random generator, turn by turn. So nothing here
// may depend on real time, or on what earlier files of the worker have left.
import {
  BackpressureError,
  CloseError,
  type Conn,
  connPair,
  portablePlatform,
  TimeoutError,
} from '@ws/conn';
import { Hub, type Session } from '@ws/hub';
import { contract, event, method, RpcError, stream } from '@ws/rpc';
import { expect, it, vi } from 'vitest';
import { z } from 'zod';
import { quietly, useFakeClock } from './pairs.ts';

const FIRST = Number(process.env['SEED'] ?? 1);
const RUNS = Number(process.env['RUNS'] ?? 60);
/** Above the 5 s after which a stall is reported. */
const TIMEOUTS = [1_000, 8_000, 20_000];
/** The number of items of a stream is a multiple of this. */
const ITEMS = 40;
/** Ms without a settled handler after which a stall must be reported: 5 s, and two steps of the clock. */
const STALL_MS = 7_000;

type Act = 'answer' | 'turns' | 'call back' | 'note back' | 'read back' | 'hang' | 'throw';

interface Plan {
  /** The number of the message at its sender. */
  readonly n: number;
  readonly act: Act;
  readonly depth: number;
  readonly turns: number;
  readonly pad: string;
}

const Plan = z.custom<Plan>();
const names = { ask: method(Plan, z.number()), note: event(Plan), items: stream(Plan, z.number()) };
const both = contract({ server: names, client: names });
type Handlers = Parameters<typeof both.connect>[1];
type Peer = ReturnType<typeof both.connect>;
type Ctx = { readonly signal: AbortSignal };

function randomOf(seed: number): (below: number) => number {
  let a = seed >>> 0;
  return (below) => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class Program {
  readonly faults: string[] = [];
  readonly reports: string[] = [];
  readonly random: (below: number) => number;
  /** Calls that have not settled. */
  open = 0;
  /** Settled calls, and started handlers. */
  steps = 0;
  /** Whether the connection has ended, on purpose or by 1013. */
  isBroken = false;
  /** Whether so many calls are made that requests wait at their caller. Events overtake those. */
  isBurst = false;
  /** Whether a call of 20 s has timed out without a start of its handler, while no handler settled. */
  hasStarved = false;

  constructor(seed: number) {
    this.random = randomOf(seed);
  }

  chance(percent: number): boolean {
    return this.random(100) < percent;
  }
}

/** One end: its handlers, and its calls to the other one. */
class End {
  peer!: Peer;
  other!: End;
  /** Numbers of the messages whose handler has started here, in order. */
  readonly started: number[] = [];
  /** Times in ms at which handlers have settled here. That of a stream settles when it has begun. */
  readonly settledAt: number[] = [];
  running = 0;
  most = 0;
  streams = 0;
  begunStreams = 0;
  /** The highest number of a message of each kind whose handler has started. */
  readonly last = { ask: -1, note: -1, items: -1 };
  readonly #program: Program;
  #sent = 0;

  constructor(program: Program) {
    this.#program = program;
  }

  get handlers(): Handlers {
    const begin = (plan: Plan, kind: keyof typeof this.last): void => {
      const { ask, note, items } = this.last;
      const last = this.#program.isBurst ? this.last[kind] : Math.max(ask, note, items);
      // Beyond 16 streams, the next one starts in a later turn if there is room by then.
      const mayBeLate = kind === 'items' && this.begunStreams++ >= 16;
      if (plan.n <= last && !mayBeLate) {
        this.#program.faults.push(`${plan.n} started after ${last}`);
      }
      this.last[kind] = Math.max(this.last[kind], plan.n);
      this.started.push(plan.n);
      this.#program.steps++;
    };
    const run = (plan: Plan, ctx: Ctx, kind: 'ask' | 'note'): unknown => {
      begin(plan, kind);
      this.most = Math.max(this.most, ++this.running);
      const done = this.#act(plan, ctx);
      const settled = (): void => {
        this.running--;
        this.settledAt.push(performance.now());
      };
      if (done === undefined) settled();
      else void done.then(settled, settled);
      return done;
    };
    const items = this.#items.bind(this);
    return {
      ask: (plan, ctx) => {
        const done = run(plan, ctx, 'ask');
        return done === undefined ? plan.n : (done as Promise<unknown>).then(() => plan.n);
      },
      note: (plan, ctx) => run(plan, ctx, 'note'),
      items: (plan, { signal }) => {
        begin(plan, 'items');
        this.settledAt.push(performance.now());
        return items(plan, signal);
      },
    };
  }

  async *#items(plan: Plan, signal: AbortSignal): AsyncGenerator<number> {
    this.streams++;
    try {
      for (let i = 0; i < plan.turns * ITEMS; i++) {
        if (plan.act === 'turns') await turn();
        if (plan.act === 'call back' && i === 2) await this.ask(plan.depth + 1);
        if (plan.act === 'hang' && i === 3) await hang(signal);
        if (plan.act === 'throw' && i === 4) throw new RpcError(7, 'mine');
        yield plan.n + i;
      }
    } finally {
      this.streams--;
    }
  }

  #act({ act, turns, depth }: Plan, { signal }: Ctx): Promise<unknown> | undefined {
    switch (act) {
      case 'answer':
        return undefined;
      case 'turns':
        return (async () => {
          for (let i = 0; i < turns; i++) await (i % 2 === 0 ? turn() : undefined);
        })();
      case 'call back':
        return this.ask(depth + 1);
      case 'note back':
        return this.note(depth + 1);
      case 'read back':
        return this.read(depth + 1);
      case 'hang':
        return hang(signal);
      case 'throw':
        return Promise.reject(new RpcError(7, 'mine'));
    }
  }

  #plan(depth: number): Plan {
    const { random } = this.#program;
    const acts: Act[] = ['answer', 'answer', 'turns', 'turns', 'hang', 'throw'];
    if (depth < 4) acts.push('call back', 'call back', 'note back', 'read back');
    const act = acts[random(acts.length)]!;
    const pad = this.#program.chance(10) ? 'x'.repeat(random(4_000)) : '';
    return { n: this.#sent++, act, depth, turns: random(6), pad };
  }

  /** Waits for a call. Its error is a fault unless the program explains it. */
  async #settles(plan: Plan, timeout: number, call: () => Promise<unknown>): Promise<void> {
    const program = this.#program;
    const sentAt = performance.now();
    program.open++;
    try {
      const result = await call();
      if (result !== undefined && result !== plan.n) {
        program.faults.push(`the answer to ${plan.n} is ${JSON.stringify(result)}`);
      }
    } catch (error) {
      const { code } = error as RpcError;
      const isLate = error instanceof TimeoutError;
      const wasStarted = this.other.started.includes(plan.n);
      if (isLate && timeout > 12_000 && !wasStarted && !program.isBroken) {
        if (this.other.longestWait(sentAt) >= STALL_MS) program.hasStarved = true;
      }
      const isEnd = error instanceof CloseError || (error as Error).name === 'CloseSentError';
      const isOverrun = /does not wait for their reader/.test(String(error));
      const fits =
        isLate ||
        error === LEFT ||
        (error instanceof BackpressureError && !isOverrun) ||
        code === -32_000 ||
        (code === 7 && plan.act === 'throw') ||
        // The handler's own call has failed.
        (code === -32_603 && /back|hang/.test(plan.act)) ||
        (code === 7 && plan.act.endsWith('back')) ||
        (isEnd && program.isBroken);
      if (!fits) program.faults.push(`${plan.n} (${plan.act}): ${String(error)}`);
      // A handler that called back fails as its call does.
      if (plan.depth > 0) throw error;
    } finally {
      program.open--;
      program.steps++;
    }
  }

  #options(): { timeout: number; signal: AbortSignal; isLeft: boolean } {
    const program = this.#program;
    const control = new AbortController();
    const isLeft = program.chance(15);
    if (isLeft) void turn().then(() => control.abort(LEFT));
    const timeout = TIMEOUTS[program.random(TIMEOUTS.length)]!;
    return { timeout, signal: control.signal, isLeft };
  }

  /** The longest time in ms, since `start`, in which no handler has settled here. */
  longestWait(start: number): number {
    const times = [...this.settledAt.filter((at) => at > start), performance.now()];
    return Math.max(...times.map((at, i) => at - (times[i - 1] ?? start)));
  }

  /** A call and a stream. */
  async askLast(plan: Plan): Promise<number> {
    const answer = await this.peer.ask(plan, { timeout: 60_000 });
    const items = this.peer.items(this.lastPlan(), { timeout: 60_000 });
    for await (const item of items) this.#program.faults.push(`item ${item} of none`);
    return answer;
  }

  lastPlan(): Plan {
    return { n: this.#sent++, act: 'answer', depth: 0, turns: 0, pad: '' };
  }

  ask(depth: number): Promise<void> {
    const plan = this.#plan(depth);
    const { timeout, signal } = this.#options();
    return this.#settles(plan, timeout, () => this.peer.ask(plan, { timeout, signal }));
  }

  note(depth: number): Promise<void> {
    const plan = this.#plan(depth);
    return this.#settles(plan, 0, () => this.peer.note(plan));
  }

  read(depth: number): Promise<void> {
    const plan = this.#plan(depth);
    const { timeout, signal } = this.#options();
    const leavesAt = this.#program.chance(30) ? this.#program.random(20) : -1;
    return this.#settles(plan, timeout, async () => {
      let got = 0;
      for await (const n of this.peer.items(plan, { timeout, signal })) {
        if (n !== plan.n + got++) this.#program.faults.push(`item ${n} of ${plan.n}`);
        if (got === leavesAt) return undefined;
        if (this.#program.chance(10)) await turn();
      }
      const failed = plan.act === 'throw' || plan.act === 'hang';
      const isWhole = got === plan.turns * ITEMS || failed;
      if (!isWhole) this.#program.faults.push(`${got} items of ${plan.n}`);
      return undefined;
    });
  }
}

const LEFT = new Error('left');

function hang(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason));
  });
}

/**
 * Resolves when all calls have settled. The clock moves while nothing else does, and within one turn:
 * `advanceTimersByTimeAsync` lets more turns pass on a fast machine than on a slow one.
 */
async function settle(program: Program, isDone: () => boolean): Promise<void> {
  let before = -1;
  for (let idle = 0, seconds = 0; !isDone(); ) {
    await turn();
    idle = program.steps === before ? idle + 1 : 0;
    before = program.steps;
    if (idle < 12) continue;
    if (++seconds > 300) {
      program.faults.push(`stuck: ${program.open} calls are open`);
      return;
    }
    vi.advanceTimersByTime(1_000);
    idle = 8;
  }
}

async function run(seed: number): Promise<Program> {
  const program = new Program(seed);
  const report = (error: unknown): void => void program.reports.push(String(error));
  const maxBufferedAmount = [30_000, 16 * 1024 * 1024][program.chance(25) ? 0 : 1]!;
  // Its timers are not those of earlier files.
  const platform = { ...portablePlatform };
  const [client, server] = connPair({ platform, report, maxBufferedAmount });
  const near = new End(program);
  const far = new End(program);
  near.other = far;
  far.other = near;
  const concurrency = [1, 2, 64][program.random(3)]!;
  if (program.chance(50)) {
    const hub = new Hub();
    hub.on('message', both.listener<Session>(far.handlers, { concurrency }));
    hub.on('error', (_, error) => report(error));
    far.peer = both.peer(hub.add(server));
  } else {
    quietly(both.serve(far.handlers, { concurrency })(server));
    far.peer = both.peer(server);
  }
  near.peer = both.connect(client, near.handlers, { concurrency });
  for (const conn of [client, server]) void conn.closed.then(() => (program.isBroken = true));
  const calls: Promise<void>[] = [];
  // More calls than the 256 that may be open.
  const isBurst = program.chance(1);
  program.isBurst = isBurst;
  const count = isBurst
    ? 300 + program.random(200)
    : 1 + program.random(program.chance(5) ? 120 : 25);
  const breaksAt = program.chance(15) ? program.random(count) : -1;
  for (let i = 0; i < count; i++) {
    const end = isBurst || program.chance(60) ? near : far;
    const what = isBurst ? 0 : program.random(10);
    calls.push(what < 5 ? end.ask(0) : what < 8 ? end.note(0) : end.read(0));
    if (program.chance(20)) await turn();
    if (i === breaksAt) breakConn(program, program.chance(50) ? client : server);
  }
  await settle(program, () => program.open === 0);
  await Promise.all(calls);
  await checkEnd(program, near, far, concurrency);
  client.terminate();
  server.terminate();
  await settle(program, () => near.streams + far.streams + near.running + far.running === 0);
  return program;
}

function breakConn(program: Program, conn: Conn): void {
  program.isBroken = true;
  if (program.chance(50)) conn.terminate();
  else quietly(conn.close(1001));
}

/** After all calls have settled: streams have ended, places are free, and each stall was reported. */
async function checkEnd(program: Program, near: End, far: End, concurrency: number): Promise<void> {
  const told = program.reports.filter((one) => one.includes('no handler has settled for 5 s'));
  if (program.hasStarved && told.length === 0) program.faults.push('a stall was not told');
  const odd = program.reports.filter((one) => /TypeError|RangeError|undefined/.test(one));
  if (odd.length > 0 && !program.isBroken) program.faults.push(`report: ${odd[0]}`);
  // The reader of each stream has left, so its generator ends.
  if (!program.isBroken) {
    await settle(program, () => program.isBroken || near.streams + far.streams === 0);
  }
  for (const end of [near, far]) {
    if (end.most > concurrency) program.faults.push(`${end.most} handlers ran`);
    // Events have no timeout, so one that hangs runs until the end of the connection.
    if (program.isBroken || end.other.running > 0) continue;
    const plan = end.lastPlan();
    let answer: number | string | undefined;
    const asked = end.askLast(plan).catch(String);
    void asked.then((one) => (answer = one));
    // An event of another handler may hang, and keep the places from now on.
    await settle(program, () => answer !== undefined || end.other.running >= concurrency);
    if (answer !== undefined && answer !== plan.n)
      program.faults.push(`the last answer: ${answer}`);
  }
}

useFakeClock();

it('random programs of two ends settle each call, in order, and starve none untold', async () => {
  for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
    const { faults } = await run(seed);
    expect({ seed, faults: faults.slice(0, 4) }).toEqual({ seed, faults: [] });
  }
});
