import type { ConnectionOptions } from 'node:tls';
import { kind } from '@ws/conn/internal';
import { Connector, parseTarget } from '@ws/node-client/internal';
import { assertOption } from '@ws/node-io/internal';
import type { HeadersInput } from '@ws/node-server';
import { checkedLines, type HeaderLine } from '../handshake/end-to-end.ts';

/**
 * A backend: its URL (ws, wss, http, https, ws+unix or wss+unix), alone or with options. An object of
 * `proxy.targets` is one too, and keeps its options.
 */
export type Target = string | URL | TargetOptions;

/** A backend with options. */
export interface TargetOptions {
  /** The request's path and query are appended to its path and query. */
  readonly url: string | URL;
  /** Its share of the connections, relative to the others. Default: 1. */
  readonly weight?: number | undefined;
  /** Options of TLS to a wss target, as for `tls.connect`. Default: none. */
  readonly tls?: ConnectionOptions | undefined;
  /** Headers that this target gets; of a name that the client sends, these win. Default: none. */
  readonly headers?: HeadersInput | undefined;
}

/** A target, as it is now. */
export interface TargetState {
  readonly url: string;
  /** Open connections and pending handshakes. */
  readonly open: number;
  /** Failures so far, as the option `cooldown` counts them. */
  readonly failed: number;
  /** `down` after 3 failures in a row, for the time `cooldown`. */
  readonly state: 'up' | 'down';
}

/** What is known of a target. A target with the same URL that replaces it shares the object. */
interface Counts {
  open: number;
  failed: number;
  failuresInRow: number;
  downUntil: number;
  /** The time of the last answer or failure. */
  lastResultAt: number;
  /** The request that dials the target after too many failures. */
  dialedBy: object | undefined;
  /** Paths whose requests the target has answered, the newest last. */
  readonly answered: Set<string>;
}

/** Failures in a row after which a target is down. */
const FAILURES = 3;
/** Most paths that are kept for a target, and most characters of each. */
const MAX_PATHS = 256;
const MAX_PATH = 256;

/** One target of the application, and what is known of it. */
export class Backend implements TargetState {
  /** As the application wrote it, normalized. */
  readonly url: string;
  readonly address: ReturnType<typeof parseTarget>;
  /** Finite and above 0. */
  readonly weight: number;
  readonly tls: ConnectionOptions | undefined;
  readonly headers: readonly HeaderLine[];
  readonly connector: Connector;
  /** The state of weighted round robin. */
  credit = 0;
  #counts: Counts = {
    open: 0,
    failed: 0,
    failuresInRow: 0,
    downUntil: 0,
    lastResultAt: 0,
    dialedBy: undefined,
    answered: new Set(),
  };

  /** @throws TypeError, RangeError or SyntaxError that names the fault. */
  constructor(target: Target) {
    const { url, weight = 1, tls, headers = {} } = optionsOf(target);
    this.address = parseTarget(url);
    this.url = urlOf(this.address);
    assertOption('weight', weight, typeof weight === 'number', 'a number');
    if (!(weight > 0 && weight < Infinity)) {
      throw new RangeError(`weight: expected a number above 0, got ${weight}`);
    }
    this.weight = weight;
    this.tls = tls;
    this.headers = checkedLines('target headers', headers);
    this.connector = connectorOf(tls);
  }

  get open(): number {
    return this.#counts.open;
  }

  get failed(): number {
    return this.#counts.failed;
  }

  get state(): 'up' | 'down' {
    return this.#isFailing && performance.now() < this.#counts.downUntil ? 'down' : 'up';
  }

  get #isFailing(): boolean {
    return this.#counts.failuresInRow >= FAILURES;
  }

  /** After too many failures, one request at a time dials the target. */
  get mayBeDialed(): boolean {
    return !this.#isFailing || this.#counts.dialedBy === undefined;
  }

  /** Returns false if another request dials the target. */
  startDial(request: object): boolean {
    if (!this.mayBeDialed) return false;
    if (this.#isFailing) this.#counts.dialedBy = request;
    return true;
  }

  /** The dial has ended, also by a connection. */
  endDial(request: object): void {
    if (this.#counts.dialedBy === request) this.#counts.dialedBy = undefined;
  }

  /** Counts a handshake, until {@link leave}. */
  enter(): void {
    this.#counts.open++;
  }

  leave(): void {
    this.#counts.open--;
  }

  /** The time of the last answer or failure, by `performance.now()`. */
  get lastResultAt(): number {
    return this.#counts.lastResultAt;
  }

  /** Takes over the counts of the target with this URL that `this` replaces. */
  continueFrom(before: Backend): void {
    this.#counts = before.#counts;
  }

  /** @param cooldown - Milliseconds until the target is asked again, after too many failures. */
  countFailure(cooldown: number): void {
    this.#counts.failed++;
    this.#counts.failuresInRow++;
    this.#counts.lastResultAt = performance.now();
    this.coolDown(cooldown);
  }

  /** Starts the cooldown. It has an effect only after {@link FAILURES} in a row. */
  coolDown(cooldown: number): void {
    this.#counts.downUntil = performance.now() + cooldown;
  }

  /** A request has ended without a result since `askedAt`: the next one asks, and not after a cooldown. */
  endCooldown(askedAt: number): void {
    if (this.#counts.lastResultAt < askedAt) this.#counts.downUntil = 0;
  }

  /** @param url - The URL of the request. */
  answered(url: string): void {
    this.#counts.failuresInRow = 0;
    this.#counts.lastResultAt = performance.now();
    const { answered } = this.#counts;
    const path = pathOf(url);
    answered.delete(path);
    answered.add(path);
    if (answered.size > MAX_PATHS) answered.delete(answered.values().next().value!);
  }

  /** Whether the target answers other paths, and has never answered this one: the path may be slow. */
  mayBeSlow(url: string): boolean {
    const { answered } = this.#counts;
    return answered.size > 0 && !answered.has(pathOf(url));
  }
}

/** Returns the path of a request, or its start. */
function pathOf(url: string): string {
  return url.slice(0, MAX_PATH).replace(/\?.*/, '');
}

/** Returns the public state of a target. */
export function stateOf({ url, open, failed, state }: Backend): TargetState {
  return { url, open, failed, state };
}

/** The target of each object that {@link assignableStateOf} has returned. */
const origins = new WeakMap<object, Backend>();

/** As {@link stateOf}. The setter of `proxy.targets` accepts the result, with all options of `backend`. */
export function assignableStateOf(backend: Backend): TargetState {
  const state = stateOf(backend);
  origins.set(state, backend);
  return state;
}

/** Returns the URL of a target. That of a Unix socket names its file: other files are other targets. */
function urlOf({ address, secure, path, url }: Backend['address']): string {
  if (address.path === undefined) return url;
  const file = encodeURIComponent(address.path).replaceAll('%2F', '/');
  return `${secure ? 'wss' : 'ws'}+unix:${file}:${path}`;
}

/** One connector for each set of TLS options: a secure context is expensive. */
const connectors = new WeakMap<object, Connector>();
/** The set of a target without any. */
const NO_TLS = {};

function connectorOf(tls: ConnectionOptions = NO_TLS): Connector {
  assertOption('tls', tls, typeof tls === 'object' && tls !== null, 'an object');
  let connector = connectors.get(tls);
  if (connector === undefined) {
    connector = Connector.withTls(tls === NO_TLS ? undefined : tls);
    connectors.set(tls, connector);
  }
  return connector;
}

const OPTION_NAMES: readonly string[] = ['url', 'weight', 'tls', 'headers'];

function optionsOf(target: unknown): TargetOptions {
  if (typeof target === 'string' || target instanceof URL) return { url: target };
  if (typeof target !== 'object' || target === null || !('url' in target)) {
    throw new TypeError(`target: expected a URL or { url }, got ${kind(target)}`);
  }
  const origin = origins.get(target);
  if (origin !== undefined) return origin;
  const unknown = Object.keys(target).find((name) => !OPTION_NAMES.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(`target: unknown option ${unknown}; known: ${OPTION_NAMES.join(', ')}`);
  }
  return target as TargetOptions;
}
