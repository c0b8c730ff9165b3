// Random programs of streams, calls, cancels, breaks and slow readers, over a Conn and over a session.
// SEED=7 RUNS=1000 runs others.
import { CloseError, type Conn, connPair } from '@ws/conn';
import { Hub, type Session } from '@ws/hub';
import { contract, method, RpcError, stream } from '@ws/rpc';
import { rounds } from '@ws/tests';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { quietly } from './pairs.ts';

const FIRST = Number(process.env['SEED'] ?? 1);
const RUNS = Number(process.env['RUNS'] ?? rounds(15, 35));

/** Items of a stream that may have left, and that its reader has not taken. */
const WINDOW = 64;

interface Plan {
  readonly n: number;
  readonly count: number;
  readonly size: number;
  readonly waits: boolean;
  readonly slowFinally: boolean;
  readonly throwsAt?: number | undefined;
  readonly isSecret: boolean;
  readonly badAt?: number | undefined;
  readonly hangsAt?: number | undefined;
  readonly seesSignal: boolean;
  /** The generator calls its reader. */
  readonly asks: boolean;
}

const Plan = z.custom<Plan>();
const Item = z.object({ i: z.number(), text: z.string() });
const names = { run: stream(Plan, Item), echo: method(z.number(), z.number()) };
const both = contract({ server: names, client: names });
type Handlers = Parameters<typeof both.connect>[1];
type Peer = ReturnType<typeof both.connect>;

/** What a generator did. */
interface Run {
  made: number;
  isEnded: boolean;
  release: () => void;
}

function randomOf(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

class Program {
  readonly faults: string[] = [];
  readonly #runs = new Map<number, Run>();
  readonly #random: () => number;
  readonly #reports: unknown[] = [];
  #secrets = 0;
  #isBroken = false;

  constructor(seed: number) {
    this.#random = randomOf(seed);
  }

  #int(below: number): number {
    return Math.floor(this.#random() * below);
  }

  #chance(part: number): boolean {
    return this.#random() < part;
  }

  #handlers(): Handlers {
    const runs = this.#runs;
    const secret = (): void => void this.#secrets++;
    return {
      echo: (n) => n,
      async *run(plan, { signal, peer }) {
        const run: Run = { made: 0, isEnded: false, release: () => {} };
        runs.set(plan.n, run);
        try {
          for (let i = 0; i < plan.count; i++) {
            if (plan.waits && i % 5 === 0) await turn();
            if (plan.asks && i % 7 === 3) await peer.echo(i, { signal });
            if (plan.hangsAt === i) {
              await new Promise<void>((resolve, reject) => {
                run.release = resolve;
                const stop = (): void => reject(signal.reason);
                if (plan.seesSignal && signal.aborted) stop();
                else if (plan.seesSignal) signal.addEventListener('abort', stop);
              });
            }
            if (plan.throwsAt === i) {
              if (!plan.isSecret) throw new RpcError(7, 'mine');
              secret();
              throw new Error('secret');
            }
            run.made++;
            if (plan.badAt === i) secret();
            yield plan.badAt === i ? ({ i: 'bad' } as never) : { i, text: 'x'.repeat(plan.size) };
          }
        } finally {
          if (plan.slowFinally) await turn();
          run.isEnded = true;
        }
      },
    };
  }

  #plan(n: number): Plan {
    const count = this.#int(150);
    const at = (): number => this.#int(count);
    const kind = count === 0 ? 9 : this.#int(10);
    return {
      n,
      count,
      size: this.#chance(0.1) ? 20_000 : this.#int(this.#chance(0.2) ? 3_000 : 60),
      waits: this.#chance(0.5),
      slowFinally: this.#chance(0.3),
      throwsAt: kind < 2 ? at() : undefined,
      isSecret: this.#chance(0.5),
      badAt: kind === 2 ? at() : undefined,
      hangsAt: kind === 3 || kind === 4 ? at() : undefined,
      seesSignal: this.#chance(0.6),
      asks: this.#chance(0.2),
    };
  }

  async #read(peer: Peer, plan: Plan): Promise<void> {
    const { n, count, hangsAt } = plan;
    const control = new AbortController();
    const loop = peer.run(plan, { signal: control.signal });
    const leavesAt = this.#chance(0.4) || hangsAt !== undefined ? this.#int(hangsAt ?? count) : -1;
    const stallsAt = this.#chance(0.2) ? this.#int(Math.max(leavesAt, 1)) : -1;
    const aborts = this.#chance(0.5);
    const slow = this.#chance(0.5) ? 0 : 0.2;
    const wrong = (what: string): void => void this.faults.push(`stream ${n}: ${what}`);
    let got = 0;
    let end = 'whole';
    try {
      for (;;) {
        if (got === stallsAt) {
          await turns(30);
          const ahead = (this.#runs.get(n)?.made ?? 0) - got;
          if (ahead > WINDOW) wrong(`${ahead} made, and not taken`);
        }
        if (got === leavesAt) {
          end = 'left';
          if (aborts) {
            control.abort(new Error('left'));
            await loop.next().then(
              (result) => wrong(`an abort ends with ${JSON.stringify(result)}`),
              (error: Error) => {
                if (error.message !== 'left') wrong(`an abort rejects with ${error}`);
              },
            );
            if ((await loop.next()).done !== true) wrong('an item after the error');
          } else await loop.return?.();
          break;
        }
        const { done, value } = await loop.next();
        if (done === true) break;
        if (value.i !== got) wrong(`item ${value.i} for ${got}`);
        got++;
        if (this.#chance(slow)) await turns(1 + this.#int(3));
      }
    } catch (error) {
      end = 'failed';
      const { code } = error as RpcError;
      if (code === -32_000) end = 'refused';
      else if (error instanceof CloseError) {
        if (!this.#isBroken) wrong(String(error));
        end = 'broken';
      } else {
        const at = plan.throwsAt ?? plan.badAt;
        if (got !== at) wrong(`${String(error)} after ${got} of ${at}`);
        const expected = plan.throwsAt !== undefined && !plan.isSecret ? 7 : -32_603;
        if (code !== expected) wrong(`code ${code}`);
      }
      if ((await loop.next()).done !== true) wrong('two errors');
    }
    if (end === 'whole' && got !== count) wrong(`whole after ${got} of ${count}`);
    const run = this.#runs.get(n);
    if (end !== 'left' || run === undefined || (hangsAt !== undefined && !plan.seesSignal)) return;
    for (let i = 0; !run.isEnded && i < 300; i++) await turn();
    if (!run.isEnded) wrong('was left, and has not ended');
  }

  async #call(peer: Peer): Promise<void> {
    let isAnswered = false;
    const answered = (): void => void (isAnswered = true);
    const call = peer.echo(1).then(answered, answered);
    for (let i = 0; !isAnswered && i < 200; i++) await turn();
    if (!isAnswered) this.faults.push('a call is not answered');
    await call;
  }

  #connect(): [client: Conn, server: Conn, Peer, Peer] {
    const highWaterMark = [200, 16 * 1024, 64 * 1024][this.#int(3)]!;
    const [client, server] = connPair({
      highWaterMark,
      report: (error) => void this.#reports.push(error),
    });
    if (this.#chance(0.5)) {
      const hub = new Hub();
      hub.on('message', both.listener<Session>(this.#handlers()));
      hub.on('error', (_, error) => void this.#reports.push(error));
      return [client, server, both.connect(client, this.#handlers()), both.peer(hub.add(server))];
    }
    quietly(both.serve(this.#handlers())(server));
    return [client, server, both.connect(client, this.#handlers()), both.peer(server)];
  }

  async run(): Promise<void> {
    const [client, server, toServer, toClient] = this.#connect();
    const jobs: Promise<void>[] = [];
    for (let n = 1 + this.#int(20); n > 0; n--) {
      const peer = this.#chance(0.7) ? toServer : toClient;
      jobs.push(this.#read(peer, this.#plan(n)));
      if (this.#chance(0.5)) jobs.push(this.#call(peer));
      if (this.#chance(0.3)) await turns(this.#int(4));
    }
    if (this.#chance(0.2)) {
      await turns(this.#int(20));
      this.#isBroken = true;
      const conn = this.#chance(0.5) ? client : server;
      if (this.#chance(0.5)) conn.terminate();
      else void conn.close(1001);
    }
    let isDone = false;
    const done = Promise.all(jobs).then(() => void (isDone = true));
    for (let i = 0; !isDone && i < 20_000; i++) await turn();
    if (isDone) await done;
    else this.faults.push('stuck');
    await this.#checkPlaces(toServer, toClient);
    client.terminate();
    server.terminate();
    await turns(10);
    for (const [n, { isEnded }] of this.#runs) {
      if (!isEnded) this.faults.push(`the generator of ${n} has not ended`);
    }
    if (this.#reports.length > this.#secrets)
      this.faults.push(`${this.#reports.length} reports: ${String(this.#reports[0])}`);
  }

  /** When all has ended, 16 streams have a place in each direction, with a whole window. */
  async #checkPlaces(...peers: Peer[]): Promise<void> {
    for (let i = 0; i < 10; i++) {
      for (const { release } of this.#runs.values()) release();
      await turns(2);
    }
    if (this.#isBroken) return;
    for (const [side, peer] of peers.entries()) {
      const plans = Array.from({ length: 16 }, (_, i) => ({
        ...this.#plan(1_000 + side * 100 + i),
        count: 200,
        size: 10,
        throwsAt: undefined,
        badAt: undefined,
        hangsAt: undefined,
        asks: false,
      }));
      const loops = plans.map((plan) => peer.run(plan));
      const first = await Promise.all(loops.map((loop) => loop.next().catch(String)));
      if (first.some((one) => typeof one === 'string' || one.done === true)) {
        this.faults.push(`a place is held: ${first.find((one) => typeof one === 'string')}`);
      }
      await turns(200);
      const made = plans.map(({ n }) => this.#runs.get(n)?.made ?? 0);
      if (made.some((n) => n !== WINDOW)) this.faults.push(`a window is held: ${made.join()}`);
      for (const loop of loops) await loop.return?.();
      await turns(10);
    }
  }
}

it('random programs keep order, window, ends and places', { timeout: 3_600_000 }, async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  process.on('unhandledRejection', note);
  for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
    const program = new Program(seed);
    await program.run();
    expect({ seed, faults: program.faults.slice(0, 4), unhandled }).toEqual({
      seed,
      faults: [],
      unhandled: [],
    });
  }
  process.off('unhandledRejection', note);
});
