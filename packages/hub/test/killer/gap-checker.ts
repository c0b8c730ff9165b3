import type { Log } from './history-checker.ts';

/** The times of the messages of a room by the clock of the machine, in ms: by node and number. */
export type Times = ReadonlyMap<string, ReadonlyMap<number, number>>;

/**
 * The gaps of one log, by their number in it. A gap in neither set stands for messages with an
 * unknown number.
 */
interface Judgement {
  /** In the place of a lost message. */
  readonly needed: Set<number>;
  /** No message is lost there, or an earlier gap has reported the loss. */
  readonly unneeded: Set<number>;
}

/** The messages of one node around a gap: the last one before it, and the first one after it. */
interface Hole {
  readonly before: { readonly number: number; readonly place: number };
  readonly next: number | undefined;
}

/** Delay of a digest on a busy machine, in ms. */
const DIGEST_DELAY_MS = 1_000;

/**
 * Judges the gaps of a log. A gap is needed in the place of a message that is lost, unless an earlier
 * gap in the same place was reported later than the publication of the message.
 *
 * @param reportedAt - Time at which the node reported a gap, in ms.
 */
export function judgeGaps(
  log: Log,
  published: Times,
  reportedAt: (gap: number) => number,
): Judgement {
  const judgement = { needed: new Set<number>(), unneeded: new Set<number>() };
  let earlier: { readonly gap: number; readonly place: number } | undefined;
  for (const [place, event] of log.events.entries()) {
    if (!('gap' in event)) continue;
    const { gap } = event;
    const needs = (run: string, times: ReadonlyMap<number, number>): boolean | undefined => {
      const hole = holeAt(log, place, run);
      // The node may have shown a loss by a message that the log has later, or has ended before.
      const unknown = log.ended || log.events.slice(place).some(isOf(run));
      if (hole === undefined) return unknown ? undefined : false;
      const { before, next = Infinity } = hole;
      const lost = [...times].filter(
        ([number, at]) => number > before.number && number < next && at <= reportedAt(gap),
      );
      if (lost.length === 0) return false;
      if (earlier === undefined || earlier.place < before.place) return true;
      // The hub knows the age of the lost message, not the delay of the one that shows the loss.
      const delay = reportedAt(gap) - (times.get(next) ?? reportedAt(gap) - DIGEST_DELAY_MS);
      const latest = Math.max(...lost.map(([, at]) => at));
      return latest + Math.max(delay, 0) >= reportedAt(earlier.gap);
    };
    const answers = Array.from(published, ([run, times]) => needs(run, times));
    if (answers.includes(true)) judgement.needed.add(gap);
    else if (!answers.includes(undefined)) judgement.unneeded.add(gap);
    earlier = { gap, place };
  }
  return judgement;
}

/** Undefined if the log has no message of the node before the gap. */
function holeAt({ events, startedAt }: Log, gap: number, run: string): Hole | undefined {
  const started = startedAt.get(run) ?? Infinity;
  const last = events.slice(0, gap).findLastIndex(isOf(run));
  const event = events[last];
  const after = events.slice(gap).find(isOf(run));
  const next = after === undefined || 'gap' in after ? undefined : after.number;
  if (event !== undefined && !('gap' in event)) {
    return { before: { number: event.number, place: last }, next };
  }
  return started <= gap ? { before: { number: 0, place: started - 1 }, next } : undefined;
}

function isOf(run: string): (event: Log['events'][number]) => boolean {
  return (event) => 'run' in event && event.run === run;
}
