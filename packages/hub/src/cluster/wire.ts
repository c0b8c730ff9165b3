import { types } from 'node:util';
import { checkOptionNames, duration } from '@ws/conn/internal';
import type { Backplane, BackplaneSink } from '../backplane/backplane.ts';
import type { Send } from './batches.ts';

/** The default of `timeout` of a close, in ms. */
export const TIMEOUT_MS = 30_000;
/** Ms that the close of a worker may take beside the closes of its connections. */
const GRACE_MS = 5_000;
/** The longest delay of a timer, in ms. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The methods of a backplane that the broker answers. */
export type Requests = Required<Omit<Backplane, 'start'>> & { start(): Promise<void> };

/** A call of one of the {@link Requests}. The broker answers the requests of a hub in their order. */
export type Request = {
  [Name in keyof Requests]: readonly [name: Name, ...args: Parameters<Requests[Name]>];
}[keyof Requests];

/** A message of the broker to a hub. */
export type Reply =
  | readonly [name: 'answer', value: unknown]
  | readonly [name: 'message', ...message: Parameters<BackplaneSink['message']>]
  | readonly [name: 'gap'];

/** A batch between a hub and the broker, as a message between processes. */
export interface Packet<Item> {
  readonly '@ws/hub': readonly Item[];
  /** A random id, so that no message of the application is for a hub. */
  readonly hub: string;
}

/** A hub, as its {@link Link} to the broker sees it. */
export interface LinkedHub {
  /** Takes the replies of the broker. */
  take(replies: readonly Reply[]): void;
  /** The connection to the primary has ended. */
  ended(error: Error): void;
}

/** Connects a hub to the broker. */
export interface Link {
  readonly send: Send<Request>;
  disconnect(): void;
}

/** A message between the primary and a worker of {@link runCluster}. */
export type Control = Readonly<Record<'@ws/hub/cluster', Act>>;
export type Act =
  | readonly [kind: 'ready']
  | readonly [kind: 'failed', error: Error, fields: object]
  | readonly [kind: 'close', options: DrainOptions, isReplaced: boolean];

/** @returns Undefined for a message of the application, which uses the same IPC channel. */
export function packetOf<Item>(message: unknown): Packet<Item> | undefined {
  const packet = message as Packet<Item> | null;
  return Array.isArray(packet?.['@ws/hub']) && typeof packet.hub === 'string' ? packet : undefined;
}

/**
 * Returns the act in a message between processes of the cluster. The error in a `failed` act has its
 * fields again.
 *
 * @returns Undefined for a message of the application, which may look like an act.
 */
export function actOf(message: unknown): Act | undefined {
  const act = (message as Partial<Control> | null)?.['@ws/hub/cluster'];
  const [kind, value, detail] = Array.isArray(act) ? (act as unknown[]) : [];
  try {
    if (kind === 'ready') return act;
    if (kind === 'close' && typeof detail === 'boolean') {
      return longestClose(value as DrainOptions) > 0 ? act : undefined;
    }
    if (kind === 'failed' && types.isNativeError(value) && typeof detail === 'object') {
      const { stack, name, message: text } = Object.assign(value, detail);
      // Otherwise `console.error` may throw.
      if ([stack, name, text].every((each) => typeof each === 'string')) return act;
    }
  } catch {
    // Options of no close, or fields that no error can have.
  }
  return undefined;
}

/** The options of a close. */
export interface ClusterCloseOptions {
  /** Ms that each connection has for its closing handshake, before it is terminated. Default: 30,000. */
  readonly timeout?: number | undefined;
  /** Ms over which the close frames are spread. Default: 0. */
  readonly over?: number | undefined;
}

/** The options of a close of all workers. */
export interface DrainOptions extends ClusterCloseOptions {
  /**
   * Ms in which the workers still accept and serve, before `close` of the application is called. The
   * `phase` of their servers is `'draining'` at once. Default: 0.
   */
  readonly drain?: number | undefined;
}

/**
 * Longest time of a close with these options, in ms. `timeout` counts twice: once for the hub, and
 * once for the server.
 *
 * @throws TypeError, RangeError that names the option.
 */
export function longestClose(options: DrainOptions): number {
  checkOptionNames('close', options, ['timeout', 'drain', 'over'], 'ignore');
  const timeout = duration('timeout', options.timeout, TIMEOUT_MS, false);
  const over = options.over === 0 ? 0 : duration('over', options.over, 0, false);
  const drain = options.drain === 0 ? 0 : duration('drain', options.drain, 0, false);
  return Math.min(drain + over + 2 * timeout + GRACE_MS, MAX_TIMER_MS);
}
