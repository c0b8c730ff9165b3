import type { Position } from '@ws/hub';

/** A message of a node in a room, or the place of a gap, with the number of the gap on its node. */
type Event = { readonly run: string; readonly number: number } | { readonly gap: number };

/** The messages that one connection has received in one room. */
export interface Log {
  readonly name: string;
  /** The node of the connection. */
  readonly run: string;
  readonly events: Event[];
  /**
   * By node that started later: the number of events before its first publication. The connection
   * must get all its messages.
   */
  readonly startedAt: Map<string, number>;
  /** The connection ended before the end of the test, so its last messages may be missing. */
  ended: boolean;
}

/** The messages of a room with a resolved `publish`: by node and number, with their position. */
export type Accepted = ReadonlyMap<string, ReadonlyMap<number, Position | undefined>>;

export interface Totals {
  received: number;
  /** Messages that came twice. */
  readonly doubles: string[];
  /** Messages in the wrong order. */
  readonly disorders: string[];
  /** Lost messages with a gap in their place. */
  holes: number;
  /** Number of lost messages without a gap, in rooms without history: no node counts there. */
  uncounted: number;
  /** Lost messages without a gap in their place, in rooms with history. */
  readonly unreported: string[];
}

/**
 * Checks the log of one connection: no double, each node in order, and a gap in the place of each
 * hole: after the last message before the hole, and before the first one after it.
 *
 * @param isCounted - Whether the room has a history. Otherwise a hole needs no gap.
 */
export function checkLog(log: Log, accepted: Accepted, totals: Totals, isCounted: boolean): void {
  const places = new Map<string, Map<number, number>>();
  const highest = new Map<string, number>();
  const gaps = log.events.flatMap((event, place) => ('gap' in event ? [place] : []));
  for (const [place, event] of log.events.entries()) {
    if ('gap' in event) continue;
    const { run, number } = event;
    const numbers = places.get(run) ?? new Map<number, number>();
    places.set(run, numbers);
    const last = highest.get(run) ?? 0;
    if (number <= last) {
      const list = numbers.has(number) ? totals.doubles : totals.disorders;
      list.push(`${log.name}: ${run} ${number} after ${last}`);
    }
    highest.set(run, Math.max(number, last));
    numbers.set(number, place);
    totals.received++;
  }
  for (const [run, numbers] of accepted) {
    const received = places.get(run) ?? new Map<number, number>();
    const started = log.startedAt.get(run);
    if (started !== undefined) received.set(0, started - 1);
    const known = [...received.keys()].toSorted((a, b) => a - b);
    if (known.length === 0) continue;
    for (const number of numbers.keys()) {
      if (number < known[0]! || received.has(number)) continue;
      const before = known.findLast((other) => other < number)!;
      const after = known.find((other) => other > number);
      if (after === undefined && log.ended) continue;
      const from = received.get(before)!;
      const to = after === undefined ? Infinity : received.get(after)!;
      if (gaps.some((place) => place > from && place < to)) totals.holes++;
      else if (!isCounted) totals.uncounted++;
      else
        totals.unreported.push(`${log.name}: ${run} ${number}, after ${before}, before ${after}`);
    }
  }
}

export function noTotals(): Totals {
  return { received: 0, doubles: [], disorders: [], holes: 0, uncounted: 0, unreported: [] };
}

/**
 * Checks that one order of all messages exists of which each log is a subsequence: the order of the
 * engine.
 */
export function checkOrder(room: string, logs: readonly Log[], { disorders }: Totals): void {
  const next = new Map<string, Set<string>>();
  const before = new Map<string, number>();
  for (const { events } of logs) {
    let previous: string | undefined;
    for (const event of events) {
      if ('gap' in event) continue;
      const name = `${event.run} ${event.number}`;
      if (!next.has(name)) next.set(name, new Set());
      const after = previous === undefined ? undefined : next.get(previous)!;
      if (after !== undefined && !after.has(name)) {
        after.add(name);
        before.set(name, (before.get(name) ?? 0) + 1);
      }
      previous = name;
    }
  }
  const free = [...next.keys()].filter((name) => !before.has(name));
  let sorted = 0;
  for (const name of free) {
    sorted++;
    for (const after of next.get(name)!) {
      const left = before.get(after)! - 1;
      before.set(after, left);
      if (left === 0) free.push(after);
    }
  }
  if (sorted < next.size) disorders.push(`${room}: the connections have different orders`);
}

/** Checks that a log has the order of the engine's offsets. */
export function checkOffsets(
  { name, events }: Log,
  accepted: Accepted,
  { disorders }: Totals,
): void {
  let last: Position | undefined;
  for (const event of events) {
    const position = 'gap' in event ? undefined : accepted.get(event.run)?.get(event.number);
    if (position === undefined) continue;
    if (last?.epoch === position.epoch && position.offset <= last.offset) {
      disorders.push(`${name}: offset ${position.offset} after ${last.offset}`);
    }
    last = position;
  }
}
