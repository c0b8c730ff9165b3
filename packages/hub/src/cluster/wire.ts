import type { Keep } from '../backplane/backplane.ts';
import type { Position } from '../position.ts';

/**
 * What a hub in a worker asks the broker for. `hub` numbers the hubs of a process, `call` their
 * questions.
 */
export type Request =
  | readonly [kind: 'start', hub: number, call: number]
  | readonly [
      kind: 'publish',
      hub: number,
      call: number,
      channel: string,
      bytes: Uint8Array,
      keep: Keep | undefined,
    ]
  | readonly [kind: 'subscribe' | 'unsubscribe', hub: number, call: number, channel: string]
  | readonly [
      kind: 'history',
      hub: number,
      call: number,
      channel: string,
      since: Position | undefined,
      limit: number,
      keep: Keep | undefined,
    ]
  | readonly [kind: 'close', hub: number, call: number];

/** What the broker sends to a worker. */
export type Reply =
  | readonly [kind: 'answer', call: number, value: unknown]
  | readonly [
      kind: 'message',
      hub: number,
      channel: string,
      bytes: Uint8Array,
      epoch: string | undefined,
      offset: number,
    ]
  | readonly [kind: 'gap', hub: number];

/** The messages of {@link runCluster} to a worker and back. */
export type Control =
  | readonly [kind: 'ready']
  | readonly [kind: 'failed', error: unknown]
  | readonly [kind: 'close', options: ClusterCloseOptions];

/** How a process closes. */
export interface ClusterCloseOptions {
  /** Ms after its close frame until a connection that has not ended is terminated. Default: 30,000. */
  readonly timeout?: number | undefined;
  /** Ms over which the close frames are spread. Default: 0. */
  readonly over?: number | undefined;
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
