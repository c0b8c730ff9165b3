import { Latencies, type Percentiles } from './latencies.ts';
import { pace } from './pace.ts';
import { RoomMember } from './room-member.ts';
import { PROTOCOLS, type ProtocolName } from './room-messages.ts';

/** Number of connections that are opened at a time. */
const PARALLEL_DIALS = 128;
/** Connections from one address to one port; Linux has some 28,000 ports for them. */
const PORTS_OF_ADDRESS = 25_000;
/** Limit for the delivery of a turn, in ms. */
const STALL_TIMEOUT_MS = 60_000;

/** A request for members that connect to one server. */
export interface OpenMembers {
  readonly port: number;
  readonly protocol: ProtocolName;
  /** Default: the path of the protocol. */
  readonly path?: string;
  readonly members: number;
  /** Bytes of a message. */
  readonly size: number;
}

/** A request for messages: for `ms`, or for `turns` turns. */
export interface PublishRequest {
  readonly perTurn: number;
  readonly ms?: number;
  readonly turns?: number;
}

/** What was delivered. */
export interface Delivered {
  /** Number of messages to the room. */
  readonly messages: number;
  /** Number of messages to members that read. */
  readonly deliveries: number;
  readonly ms: number;
  /** CPU of this process, in microseconds. */
  readonly cpu: number;
  /** From the request to the member, for each delivery. */
  readonly each: Percentiles;
}

/** What a closed loop delivered. */
export interface Published extends Delivered {
  /** From the request to the last member, for each turn. */
  readonly all: Percentiles;
}

/** What was delivered at a fixed rate. */
export interface Paced extends Delivered {
  /** Delay of the load itself. */
  readonly late: Percentiles;
}

/**
 * Members of a room. The first one requests messages; each message counts as delivered when all
 * members that read have it.
 */
export class RoomLoad {
  readonly #members: RoomMember[] = [];
  #readers: RoomMember[] = [];
  /** Moment of the request of each message of this run. */
  #moments: number[] = [];
  #received = 0;
  #each = new Latencies();
  /** Deliveries that this turn lacks. */
  #missing = 0;
  #delivered: (error?: Error) => void = () => {};
  #failure: Error | undefined;
  #leaving = false;

  /** Connects members, besides those of earlier calls. */
  async open({ port, protocol, path, members, size }: OpenMembers): Promise<void> {
    const target = { port, path, protocol: PROTOCOLS[protocol] };
    const frames = target.protocol.frames(size);
    const events = {
      onMessages: (member: RoomMember, count: number) => this.#deliver(member, count),
      onError: (error: Error) => this.#fail(error),
    };
    for (let opened = 0; opened < members; opened += PARALLEL_DIALS) {
      const some = Math.min(PARALLEL_DIALS, members - opened);
      const dials = Array.from({ length: some }, (_, i) => {
        const localAddress = addressOf(opened + i);
        return RoomMember.open({ ...target, localAddress }, frames, events);
      });
      this.#members.push(...(await Promise.all(dials)));
    }
    this.#readers = this.#members;
  }

  /** Stops the last `count` members from reading. */
  pause(count: number): void {
    this.#readers = this.#members.slice(0, this.#members.length - count);
    for (const member of this.#members.slice(this.#readers.length)) member.pause();
  }

  /** Closed loop: the next turn follows when all members that read have the messages of this one. */
  async publish({ perTurn, ms = Infinity, turns = Infinity }: PublishRequest): Promise<Published> {
    const end = this.#begin();
    const all = new Latencies();
    let now = performance.now();
    const until = now + ms;
    for (let done = 0; done < turns && now < until; done++) {
      const asked = now;
      for (let i = 0; i < perTurn; i++) this.#moments.push(asked);
      const delivered = this.#expect(perTurn * this.#readers.length);
      this.#readers[0]!.request(perTurn);
      await delivered;
      now = performance.now();
      all.record(now - asked);
    }
    return { ...end(), all: all.percentiles() };
  }

  /** Fixed rate: messages become due at planned moments, from which their latency counts. */
  async pace({ rate, ms }: { rate: number; ms: number }): Promise<Paced> {
    const end = this.#begin();
    const [publisher] = this.#readers;
    const plan = (moment: number): void => {
      this.#moments.push(moment);
      publisher!.request(1);
    };
    const delivered = this.#expect(Math.floor((rate * ms) / 1000) * this.#readers.length, ms);
    const [late] = await Promise.all([pace([{ plan }], rate, ms), delivered]);
    return { ...end(), late: late.percentiles() };
  }

  /** Ends all connections without a close handshake. */
  drop(): void {
    this.#leaving = true;
    for (const member of this.#members) member.destroy();
  }

  /** Starts a run. The returned function ends it. */
  #begin(): () => Delivered {
    const readers = this.#readers;
    this.#received = readers[0]!.received;
    this.#moments = [];
    this.#each = new Latencies();
    const before = process.cpuUsage();
    const began = performance.now();
    return () => {
      const { user, system } = process.cpuUsage(before);
      const messages = this.#moments.length;
      // A message that one member lacks and another has twice is in the total.
      const unequal = readers.filter(({ received }) => received !== this.#received + messages);
      if (unequal.length > 0) throw new Error(`${unequal.length} members lack a message`);
      return {
        messages,
        deliveries: messages * readers.length,
        ms: performance.now() - began,
        cpu: user + system,
        each: this.#each.percentiles(),
      };
    };
  }

  /** Resolves after `count` deliveries. */
  async #expect(count: number, ms = 0): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const began = performance.now();
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        const took = Math.round(performance.now() - began);
        this.#delivered(new Error(`${this.#missing} deliveries are missing after ${took} ms`));
      }, ms + STALL_TIMEOUT_MS);
      this.#missing += count;
      this.#delivered = (error) => {
        clearTimeout(timer);
        if (error === undefined) resolve();
        else reject(error);
      };
    });
  }

  #deliver(member: RoomMember, count: number): void {
    const now = performance.now();
    const first = member.received - this.#received;
    for (let i = first; i < first + count; i++) this.#each.record(now - this.#moments[i]!);
    this.#missing -= count;
    if (this.#missing > 0) return;
    // The caller counts the messages of each member after this one is counted.
    if (this.#missing === 0) queueMicrotask(() => this.#delivered());
    else this.#fail(new Error('a member received more messages than were requested'));
  }

  #fail(error: Error): void {
    if (this.#leaving) return;
    this.#failure ??= error;
    this.#delivered(this.#failure);
  }
}

/** Address of a client: undefined for the default. Linux accepts all of 127.0.0.0/8. */
function addressOf(index: number): string | undefined {
  const address = Math.floor(index / PORTS_OF_ADDRESS);
  return address === 0 ? undefined : `127.0.0.${1 + address}`;
}

/** Whether this machine has enough addresses and ports for so many clients of one server. */
export function hasPortsFor(members: number): boolean {
  return members <= PORTS_OF_ADDRESS || process.platform === 'linux';
}
