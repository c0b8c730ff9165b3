import { checkOptionNames, duration } from '@ws/conn/internal';
import type { Backplane, BackplaneSink } from '../backplane/backplane.ts';

/** The default of `timeout` of a close, in ms. */
const TIMEOUT_MS = 30_000;
/** Time for the rest of a close, in ms. */
const GRACE_MS = 5_000;
/** The longest delay of a timer, in ms. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What a hub asks the broker for: its start, and the calls of its backplane. */
export interface Questions extends Required<Omit<Backplane, 'start'>> {
  start(): Promise<void>;
}

export type Arguments<Name extends keyof Questions> = Parameters<Questions[Name]>;

/** A question to the broker. `hub` numbers the hubs of a process, `call` their questions. */
export type Question = {
  [Name in keyof Questions]: readonly [
    name: Name,
    hub: number,
    call: number,
    args: Arguments<Name>,
  ];
}[keyof Questions];

/** What the broker sends to a process. */
export type Reply =
  | readonly [name: 'answer', call: number, value: unknown]
  | readonly [name: 'message', hub: number, args: Parameters<BackplaneSink['message']>]
  | readonly [name: 'gap', hub: number];

/** The messages of {@link runCluster} to a worker and back. */
export type Control =
  /** The worker takes messages. Node loses those that are sent before. */
  | readonly [kind: 'hears']
  | readonly [kind: 'ready']
  | readonly [kind: 'failed', error: unknown]
  | readonly [kind: 'close', options: ClusterCloseOptions, isReplaced: boolean];

/** How a process closes. */
export interface ClusterCloseOptions {
  /** Ms after its close frame until a connection that has not ended is terminated. Default: 30,000. */
  readonly timeout?: number | undefined;
  /** Ms over which the close frames are spread. Default: 0. */
  readonly over?: number | undefined;
}

/** @throws TypeError, RangeError that names the option. */
export function checkClose(options: ClusterCloseOptions): void {
  checkOptionNames('close', options, ['timeout', 'over'], 'ignore');
  duration('timeout', options.timeout, TIMEOUT_MS, false);
  if (options.over !== 0) duration('over', options.over, 0, false);
}

/** Ms after which a close has failed. The hub and the server may each take `timeout`. */
export function longestClose({ timeout = TIMEOUT_MS, over = 0 }: ClusterCloseOptions): number {
  return Math.min(over + 2 * timeout + GRACE_MS, MAX_TIMER_MS);
}

/** Marks our messages among those of the application, which pass on the same channel. */
export type Mark = '@ws/hub' | '@ws/hub/cluster';

/** A message with requests or replies, or of {@link runCluster}. */
export function marked(mark: Mark, content: unknown): object {
  return { [mark]: content };
}

/** @returns Undefined for another message. */
export function contentOf(mark: Mark, message: unknown): unknown {
  const isOurs = typeof message === 'object' && message !== null && Object.hasOwn(message, mark);
  return isOurs ? (message as Record<Mark, unknown>)[mark] : undefined;
}
