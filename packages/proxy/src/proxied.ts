import { channel } from 'node:diagnostics_channel';
import { Deferred } from '@ws/conn/internal';
import type { Backend } from './targets/target.ts';
import type { EndedBy, Flow, Link } from './tunnel/link.ts';

/** How a request through the proxy ended. */
export interface ProxiedInfo {
  /** 101, the status of a refusal, or 0 when the client left before its answer. */
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

const access = channel('@ws:proxy');
const NOTHING: Flow = { bytes: 0, frames: 0, messages: 0 };

/** A {@link Proxied} from its request to its end. */
export class ProxiedConnection implements Proxied {
  backend: Backend | undefined;
  /** Whether the request counts at its target. */
  entered = false;
  link: Link | undefined;
  readonly #startedAt = performance.now();
  readonly #closed = new Deferred<ProxiedInfo>();
  readonly #abandon: () => void;

  /** @param abandon - Ends the handshake while there is no link. */
  constructor(abandon: () => void) {
    this.#abandon = abandon;
  }

  get target(): URL {
    return new URL(this.backend?.url ?? 'about:blank');
  }

  get closed(): Promise<ProxiedInfo> {
    return this.#closed.promise;
  }

  get stats(): { readonly in: Flow; readonly out: Flow } {
    const { in: fromClient, out } = this.link ?? { in: NOTHING, out: NOTHING };
    return { in: copyOf(fromClient), out: copyOf(out) };
  }

  terminate(): void {
    if (this.link === undefined) this.#abandon();
    else this.link.terminate();
  }

  /** The request is over. */
  settle(end: Omit<ProxiedInfo, 'duration'>): void {
    const info = { ...end, duration: performance.now() - this.#startedAt };
    this.#closed.resolve(info);
    if (!access.hasSubscribers) return;
    const { in: fromClient, out } = this.stats;
    const target = this.backend?.url ?? 'about:blank';
    const message: ProxyAccess = {
      ...info,
      target,
      bytesIn: fromClient.bytes,
      bytesOut: out.bytes,
    };
    access.publish(message);
  }
}

function copyOf({ bytes, frames, messages }: Flow): Flow {
  return { bytes, frames, messages };
}
