import { type Fleet, roomOf } from './fleet.ts';
import { judgeGaps } from './gap-checker.ts';
import { checkLog, checkOffsets, checkOrder, noTotals, type Totals } from './history-checker.ts';

export type { Totals } from './history-checker.ts';

/** @param ordered - The first words of the rooms in which the engine orders the messages. */
export function totalsOf(fleet: Fleet, ordered: readonly string[]): Totals {
  const totals = noTotals();
  for (const log of fleet.logs) {
    const room = roomOf(log);
    const isCounted = room.startsWith('ordered') && ordered.includes('ordered');
    checkLog(log, fleet.accepted.get(room)!, totals, isCounted);
  }
  for (const [room, accepted] of fleet.accepted) {
    if (!ordered.some((kind) => room.startsWith(kind))) continue;
    const logs = fleet.logs.filter((log) => roomOf(log) === room);
    checkOrder(room, logs, totals);
    for (const log of logs) checkOffsets(log, accepted, totals);
  }
  return totals;
}

/** The gaps of all connections, as `run number`. */
export function judgedGaps(fleet: Fleet): Record<'needed' | 'unneeded', Set<string>> {
  const times = new Map(fleet.gaps.map(({ run, number, at }) => [`${run} ${number}`, at]));
  const gaps = { needed: new Set<string>(), unneeded: new Set<string>() };
  for (const log of fleet.logs) {
    const nameOf = (gap: number): string => `${log.run} ${gap}`;
    const published = fleet.published.get(roomOf(log))!;
    const judged = judgeGaps(log, published, (gap) => times.get(nameOf(gap))!);
    for (const gap of judged.needed) gaps.needed.add(nameOf(gap));
    for (const gap of judged.unneeded) gaps.unneeded.add(nameOf(gap));
  }
  return gaps;
}
