import type { StreamInfo } from './client.ts';

/** The description of the stream. Each other value of a stream may change. */
interface Numbering {
  /** Random, of the stream. */
  readonly id: string;
  /** 1, and one more each time that the stream has lost its last messages. */
  readonly count: number;
  /** The sequence before the first one of this numbering. */
  readonly after: number;
}

/** The numbering that this node knows. */
export interface Known extends Numbering {
  readonly epoch: string;
  /** The largest sequence that this node has seen in it. */
  last: number;
}

/** The epoch of a stream that `StreamLog.open` has read. */
export function epochOf(info: StreamInfo): string {
  const { id, count } = numberingOf(info)!;
  return `${id} ${count}`;
}

export function descriptionOf({ id, count, after }: Numbering): string {
  return `@ws/hub, epoch ${id}, numbering ${count} after ${after}`;
}

/** Undefined for a stream of the application, and for one of an earlier version of this package. */
export function numberingOf({ config: { description = '' } }: StreamInfo): Numbering | undefined {
  const [, id, count, after] =
    /^@ws\/hub, epoch ([\w-]+), numbering (\d+) after (\d+)$/.exec(description) ?? [];
  return id === undefined ? undefined : { id, count: Number(count), after: Number(after) };
}

/**
 * The numbering to write into the description, if the stream has none, or has lost its last messages.
 * All nodes that notice a loss write the same count, so there is one new epoch.
 *
 * @param known - The numbering that this node knew before the request.
 * @param seen - The largest sequence that this node had seen before the request.
 */
export function nextNumbering(
  info: StreamInfo,
  known: Known | undefined,
  seen: number,
): Numbering | undefined {
  const { last_seq: after } = info.state;
  const now = numberingOf(info);
  if (now === undefined) return { id: crypto.randomUUID(), count: 1, after };
  if (now.id !== known?.id || now.count > known.count) return undefined;
  const lostItsEnd = now.count < known.count || after < seen;
  return lostItsEnd ? { id: now.id, count: known.count + 1, after } : undefined;
}
