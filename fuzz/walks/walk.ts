import type { CloseInfo, Conn, ConnOptions, Platform, Transport } from '@ws/conn';
import type { socketTransport } from '@ws/node-io';
import { NaiveDecoder } from '@ws/tests';
import type { Plan, Step } from './plan.ts';

/** A build of the library. */
export interface Build {
  readonly Conn: new (transport: Transport, options: ConnOptions) => Conn;
  readonly platform: Platform;
  readonly socketTransport: typeof socketTransport;
}

/** The other end of the connection, and the transport under it. */
export interface Far {
  write(bytes: Uint8Array): void;
  end(): void;
  /** Breaks the transport. */
  break(): void;
  /** The transport takes nothing more, until {@link drain}. */
  block?(): void;
  drain?(): void;
}

/** Longer than any walk, in ms. */
const LONG = 600_000;
const MAX_ROUNDS = 200;
/** Turns without an event, after which nothing more happens. */
const QUIET_TURNS = 6;

/** One connection on its way through the steps of a plan. Writes down all that both ends see. */
export class Walk {
  readonly plan: Plan;
  readonly log: string[] = [];
  /** Events so far. */
  active = 0;
  /**
   * A handler has failed after our close frame or the peer's end. Commits before the table of states lost
   * that error.
   */
  failedLate = false;
  /** What broke a rule, whichever way the walk takes. */
  fault: string | undefined;
  readonly build: Build;
  readonly #peer: NaiveDecoder;
  readonly #gates: { resolve: () => void; reject: (error: Error) => void }[] = [];
  #far: Far | undefined;
  #conn: Conn | undefined;
  #info: CloseInfo | undefined;
  #frames = 0;
  #closed = false;
  #peerEnded = false;

  constructor(plan: Plan, build: Build) {
    this.plan = plan;
    this.build = build;
    this.#peer = new NaiveDecoder(plan.role === 'server' ? 'client' : 'server');
  }

  start(transport: Transport, far: Far): void {
    const { role, mode } = this.plan;
    const { Conn, platform } = this.build;
    this.#far = far;
    const conn = new Conn(transport, {
      role,
      platform,
      heartbeat: false,
      closeTimeout: LONG,
      report: () => {},
    });
    this.#conn = conn;
    let messages = 0;
    const reading = conn.receive((message) => {
      const text = message.length > 40 ? String(message.length) : message.text();
      this.#note(`message ${text}`);
      if (mode === 'echo') return conn.send(message);
      if (mode === 'throw at the second' && ++messages === 2) {
        this.#handlerFails();
        throw new Error('mine');
      }
      if (mode === 'ignore' || mode === 'throw at the second') return undefined;
      const settled = new Promise<void>((resolve, reject) => this.#gates.push({ resolve, reject }));
      return mode === 'wait' ? settled : settled.then(() => conn.send(`answer ${text}`));
    });
    reading.catch(() => {});
    void conn.closed.then((info) => {
      this.active++;
      this.#info = info;
    });
  }

  #handlerFails(): void {
    this.failedLate ||= this.#conn!.state !== 'open' || this.#peerEnded;
  }

  /** The peer has got bytes. */
  arrived(bytes: Uint8Array): void {
    this.active++;
    const peer = this.#peer;
    peer.push(bytes);
    for (const { opcode, payload } of peer.frames.slice(this.#frames)) {
      if (this.#closed) this.fault ??= 'a frame after the close frame';
      this.#closed ||= opcode === 8;
      const data = Buffer.from(payload);
      const code = opcode === 8 && data.length > 1 ? data.readUInt16BE() : 0;
      const text = code === 0 ? data.toString() : `${code} ${data.toString('utf8', 2)}`;
      this.log.push(`> ${opcode} ${data.length > 40 ? data.length : text}`);
    }
    this.#frames = peer.frames.length;
    if (peer.failure !== undefined) this.fault ??= peer.failure.faults.join(', ');
  }

  /** Notes what happens to the transport. */
  saw(what: string): void {
    this.#note(`> ${what}`);
  }

  #note(line: string): void {
    this.active++;
    this.log.push(line);
  }

  get waits(): boolean {
    return this.#gates.length > 0;
  }

  /** Runs a step of the plan, or `settle` after them. */
  step(index: number, step: Step | undefined): void {
    if (step === undefined) return;
    this.#note(`#${index} ${step.name}`);
    const far = this.#far!;
    if (step.bytes !== undefined) far.write(step.bytes);
    if (step.fin === true) far.end();
    this.#peerEnded ||= step.fin === true;
    if (step.act !== undefined) this.#act(step.act);
  }

  #act(act: NonNullable<Step['act']>): void {
    const conn = this.#conn!;
    switch (act.kind) {
      case 'send': {
        const at = this.log.push('send: pending') - 1;
        conn.send(`s${act.id}`).then(
          () => (this.log[at] = 'send: done'),
          () => (this.log[at] = 'send: refused'),
        );
        return;
      }
      case 'close':
        conn.close(act.code, act.reason).catch(() => {});
        return;
      case 'terminate':
        return conn.terminate();
      case 'settle':
        return this.#gates.shift()?.resolve();
      case 'fail':
        this.#handlerFails();
        return this.#gates.shift()?.reject(new Error('mine'));
      case 'block':
        return this.#far!.block?.();
      case 'drain':
        return this.#far!.drain?.();
    }
  }

  finish(how: 'drain' | 'end' | 'break'): void {
    this.#note(`# ${how}`);
    if (how === 'drain') this.#far!.drain?.();
    else this.#far![how]();
  }

  /** All that both ends saw. */
  get result(): string {
    const info = this.#info;
    const end = info === undefined ? 'pending' : `${info.code} ${info.reason} ${info.wasClean}`;
    return [...this.log, `closed ${end}`].join('\n');
  }
}

/** Runs the steps of all walks together. */
export async function walkAll(walks: readonly Walk[]): Promise<void> {
  await quiet(walks);
  const most = Math.max(...walks.map(({ plan }) => plan.steps.length));
  for (let i = 0; i < most; i++) {
    for (const walk of walks) walk.step(i, walk.plan.steps[i]);
    await quiet(walks);
  }
  while (walks.some(({ waits }) => waits)) {
    for (const walk of walks) walk.step(most, { name: 'settle', act: { kind: 'settle' } });
    await quiet(walks);
  }
  for (const how of ['drain', 'end', 'break'] as const) {
    for (const walk of walks) walk.finish(how);
    await quiet(walks);
  }
}

/** Waits until no walk sees anything more. */
async function quiet(walks: readonly Walk[]): Promise<void> {
  let still = 0;
  let last = -1;
  for (let i = 0; i < MAX_ROUNDS && still < QUIET_TURNS; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = walks.reduce((sum, { active }) => sum + active, 0);
    still = now === last ? still + 1 : 0;
    last = now;
  }
}
