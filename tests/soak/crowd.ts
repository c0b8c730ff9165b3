import { once, setMaxListeners } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { turn } from '../kit/fake-platform.ts';
import { Random } from '../kit/random.ts';
import { RawPeer } from '../kit/raw-peer.ts';

/** A client from its first byte to the end of its socket. A rejection counts as a fault. */
export type Behaviour = (crowd: Crowd, random: Random) => Promise<void>;

/** A kind of client; `weight` is its share. */
export interface ClientKind {
  readonly weight: number;
  readonly name: string;
  readonly behave: Behaviour;
}

/** A server to dial. */
export interface Address {
  readonly port: number;
  /** The server accepts permessage-deflate. */
  readonly compresses: boolean;
}

/** Handshakes at a time, so the listen queue does not overflow. */
const AT_ONCE = 128;
/** Share of idle clients; the others come and leave. */
const IDLE = 0.75;

/** A constant number of raw clients, most of them idle. A client that leaves is replaced until the end. */
export class Crowd {
  readonly addresses: readonly Address[];
  /** Open sockets. */
  open = 0;
  opened = 0;
  /** Count of each unexpected event. */
  readonly faults: Map<string, number> = new Map();
  readonly #ca: string | undefined;
  readonly #random: Random;
  #dialing = 0;
  #end = new AbortController();
  #all: Promise<void>[] = [];

  /** @param ca - Trusted certificate of servers with TLS. */
  constructor(addresses: readonly Address[], ca: string | undefined, seed: number) {
    this.addresses = addresses;
    this.#ca = ca;
    this.#random = new Random(seed);
  }

  /** The clients leave. */
  get over(): boolean {
    return this.#end.signal.aborted;
  }

  /** Starts `count` clients, idle ones first. */
  start(count: number, idle: ClientKind, others: readonly ClientKind[]): void {
    this.#end = new AbortController();
    setMaxListeners(0, this.#end.signal);
    this.#all = Array.from({ length: count }, (_, i) =>
      this.#keepOne(i < IDLE * count ? [idle] : others),
    );
  }

  /** Ends all pauses and resolves when all clients have left. */
  async leave(): Promise<void> {
    this.#end.abort();
    await Promise.all(this.#all);
    this.#all = [];
  }

  /** Connects and sends nothing; undefined when the clients leave. */
  async connect({ port }: Address): Promise<RawPeer | undefined> {
    while (this.#dialing === AT_ONCE && !this.over) await turn();
    if (this.over) return undefined;
    this.#dialing++;
    try {
      const tcp = connect({ port, host: '127.0.0.1' });
      await once(tcp, 'connect');
      this.open++;
      this.opened++;
      tcp.once('close', () => this.open--);
      if (this.#ca === undefined) return new RawPeer(tcp);
      const stream = connectTls({ socket: tcp, ca: this.#ca });
      const client = new RawPeer(stream, tcp);
      await once(stream, 'secureConnect');
      return client;
    } finally {
      this.#dialing--;
    }
  }

  /** Resolves after `ms`, or when the clients leave. */
  async pause(ms: number): Promise<void> {
    await wait(ms, undefined, { signal: this.#end.signal }).catch(() => {});
  }

  /** Waits for `closed`, at most `ms`. Resolves to whether it has closed in time. */
  async within(ms: number, closed: Promise<void>): Promise<boolean> {
    const late = new AbortController();
    const timeout = wait(ms, false, { signal: late.signal }).catch(() => false);
    const inTime = await Promise.race([closed.then(() => true), timeout]);
    late.abort();
    return inTime;
  }

  /** Waits for `closed` or until the clients leave. */
  async untilOver(closed: Promise<void>): Promise<void> {
    const { signal } = this.#end;
    if (signal.aborted) return;
    let leave!: () => void;
    const over = new Promise<void>((resolve) => {
      leave = resolve;
      signal.addEventListener('abort', leave);
    });
    await Promise.race([closed, over]);
    signal.removeEventListener('abort', leave);
  }

  async #keepOne(kinds: readonly ClientKind[]): Promise<void> {
    while (!this.over) {
      const { name, behave } = this.#pick(kinds);
      try {
        await behave(this, new Random(this.#random.word()));
      } catch (error) {
        const fault = `${name}: ${(error as Error).message}`;
        this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
        // Limits the load on a server that rejects every client.
        await this.pause(1_000);
      }
    }
  }

  #pick(kinds: readonly ClientKind[]): ClientKind {
    const sum = kinds.reduce((sum, { weight }) => sum + weight, 0);
    let at = (this.#random.word() / 2 ** 32) * sum;
    return kinds.find(({ weight }) => (at -= weight) < 0) ?? kinds[0]!;
  }
}
