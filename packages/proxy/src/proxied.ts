import { channel } from 'node:diagnostics_channel';
import type { Duplex } from 'node:stream';
import { Deferred, Expiry } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { cutStream } from '@ws/node-io/internal';
import type { UpgradeRequest } from '@ws/node-server/internal';
import type { Backend } from './targets/target.ts';
import type { EndedBy, Flow, Link, LinkEnd } from './tunnel/link.ts';

/** How a request through the proxy ended. */
export interface ProxiedInfo {
  /** 101, also over HTTP/2; the status of a refusal, or 0 when the client left without an answer. */
  readonly status: number;
  /** Who ended it first. */
  readonly endedBy: EndedBy;
  /**
   * The first close code that the proxy saw or sent; 1006 without one, as always in the mode
   * `bytes`.
   */
  readonly code: number;
  readonly reason: string;
  /** Why there was no connection, or what ended it; absent when nothing failed. */
  readonly error?: unknown;
  /** Milliseconds from the request to the end. */
  readonly duration: number;
}

/** One request through a proxy, and its connection. */
export interface Proxied {
  /** A copy of the target's URL; `about:blank` while none is chosen. */
  readonly target: URL;
  /** Resolves once, never rejects. */
  readonly closed: Promise<ProxiedInfo>;
  /** `in`: from the client to the target; `out`: from the target to the client. */
  readonly stats: { readonly in: Flow; readonly out: Flow };
  /** Ends both connections at once, without close frames. */
  terminate(): void;
}

/** A message of the channel `@ws:proxy` of `node:diagnostics_channel`: one for each request. */
export interface ProxyAccess extends ProxiedInfo {
  /** The URL of the target; `about:blank` when none was chosen. */
  readonly target: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** As the servers of `@ws/node-server` close. */
const LOGIN_EXPIRED = 4401;

const access = channel('@ws:proxy');
const NOTHING: Flow = { bytes: 0, frames: 0, messages: 0 };

/** A {@link Proxied} from its request to its end. */
export class ProxiedConnection implements Proxied {
  backend: Backend | undefined;
  link: Link | undefined;
  /** The request, until a target has answered it or it has failed. */
  pending: UpgradeRequest | undefined;
  readonly #client: Duplex;
  readonly #startedAt: number;
  readonly #onOver: (proxied: ProxiedConnection) => void;
  #info: ProxiedInfo | undefined;
  #closed: Deferred<ProxiedInfo> | undefined;
  #login: Expiry | undefined;

  /**
   * @param startedAt - By `performance.now()`.
   * @param onOver - Called once, when the request is over.
   */
  constructor(client: Duplex, startedAt: number, onOver: (proxied: ProxiedConnection) => void) {
    this.#client = client;
    this.#startedAt = startedAt;
    this.#onOver = onOver;
  }

  get target(): URL {
    return new URL(this.#url);
  }

  /** Most callers never await it: it is created on first use. */
  get closed(): Promise<ProxiedInfo> {
    this.#closed ??= new Deferred();
    if (this.#info !== undefined) this.#closed.resolve(this.#info);
    return this.#closed.promise;
  }

  get stats(): { readonly in: Flow; readonly out: Flow } {
    const { in: fromClient, out } = this.link ?? { in: NOTHING, out: NOTHING };
    return { in: snapshot(fromClient), out: snapshot(out) };
  }

  terminate(): void {
    if (this.link === undefined) cutStream(this.#client);
    else this.link.terminate();
  }

  /**
   * Ends the connection when the login of the client expires.
   *
   * @param lookEvery - Milliseconds between two looks at the time of day, while the client is silent.
   */
  setExpiry(link: Link, at: Date | number, lookEvery: number | undefined): void {
    if (this.#info !== undefined) return;
    this.#login = new Expiry(nodePlatform, () => link.expire(LOGIN_EXPIRED), lookEvery);
    link.watch(this.#login);
    this.#login.set(at);
  }

  /** Called once, when both connections of the link are closed. */
  linkEnded({ error, ...end }: LinkEnd): void {
    this.settle({ status: 101, ...end, ...(error !== undefined && { error }) });
  }

  /** The request is over. */
  settle(end: Omit<ProxiedInfo, 'duration'>): void {
    this.#info = { ...end, duration: performance.now() - this.#startedAt };
    this.#login?.clear();
    this.#onOver(this);
    this.#closed?.resolve(this.#info);
    if (!access.hasSubscribers) return;
    const { in: fromClient, out } = this.stats;
    const message: ProxyAccess = {
      ...this.#info,
      target: this.#url,
      bytesIn: fromClient.bytes,
      bytesOut: out.bytes,
    };
    access.publish(message);
  }

  get #url(): string {
    return this.backend?.url ?? 'about:blank';
  }
}

function snapshot({ bytes, frames, messages }: Flow): Flow {
  return { bytes, frames, messages };
}
