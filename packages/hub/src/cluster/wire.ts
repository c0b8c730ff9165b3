import { checkOptionNames, duration } from '@ws/conn/internal';
import type { Backplane, BackplaneSink } from '../backplane/backplane.ts';
import type { Send } from './batches.ts';

/** The default of `timeout` of a close, in ms. */
const TIMEOUT_MS = 30_000;
/** Time for the rest of a close, in ms. */
const GRACE_MS = 5_000;
/** The longest delay of a timer, in ms. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What a hub asks the broker for. */
export type Requests = Required<Omit<Backplane, 'start'>> & { start(): Promise<void> };

/** The broker answers the requests of a hub in their order. */
export type Request = {
  [Name in keyof Requests]: readonly [name: Name, ...args: Parameters<Requests[Name]>];
}[keyof Requests];

/** What the broker sends to a hub. */
export type Reply =
  | readonly [name: 'answer', value: unknown]
  | readonly [name: 'message', ...message: Parameters<BackplaneSink['message']>]
  | readonly [name: 'gap'];

/** Items between a hub and the broker. They pass beside the messages of the application. */
export interface Packet<Item> {
  readonly '@ws/hub': readonly Item[];
  /** The number of the hub in its process. */
  readonly hub: number;
}

/** A hub on its way to the broker. */
export interface LinkedHub {
  /** Takes the replies of the broker. */
  take(replies: readonly Reply[]): void;
  /** The primary has ended. */
  ended(error: Error): void;
}

/** The way of a hub to the broker. */
export interface Link {
  readonly send: Send<Request>;
  /** Disconnects the hub. */
  disconnect(): void;
}

/** A message of {@link runCluster} to a worker, or from it. */
export type Control = Readonly<Record<'@ws/hub/cluster', Act>>;
export type Act =
  | readonly [kind: 'ready']
  | readonly [kind: 'failed', error: Error, code?: unknown]
  | readonly [kind: 'close', options: ClusterCloseOptions, isReplaced: boolean];

/** @returns A message of the other process, unless it is one of the application. */
export function packetOf<Item>(message: unknown): Packet<Item> | undefined {
  const packet = message as Packet<Item> | null;
  const isOurs = Array.isArray(packet?.['@ws/hub']) && typeof packet.hub === 'number';
  return isOurs ? packet : undefined;
}

/** @returns The act in a message of the other process, unless it is one of the application. */
export function actOf(message: unknown): Act | undefined {
  const act = (message as Control | null)?.['@ws/hub/cluster'];
  return Array.isArray(act) ? (act as unknown as Act) : undefined;
}

/** How a process closes. */
export interface ClusterCloseOptions {
  /** Ms after its close frame until a connection that has not ended is terminated. Default: 30,000. */
  readonly timeout?: number | undefined;
  /** Ms over which the close frames are spread. Default: 0. */
  readonly over?: number | undefined;
}

/**
 * Ms after which a close has failed. The hub and the server may each take `timeout`.
 *
 * @throws TypeError, RangeError that names the option.
 */
export function longestClose(options: ClusterCloseOptions): number {
  checkOptionNames('close', options, ['timeout', 'over'], 'ignore');
  const timeout = duration('timeout', options.timeout, TIMEOUT_MS, false);
  const over = options.over === 0 ? 0 : duration('over', options.over, 0, false);
  return Math.min(over + 2 * timeout + GRACE_MS, MAX_TIMER_MS);
}
