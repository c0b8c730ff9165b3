import type { Turns } from './options.ts';

/**
 * `bufferedAmount` has no event. For this many ms a wait checks it in each turn of the event loop:
 * most waits are shorter than the shortest timer.
 */
const TURNS = 20;
/** The same in a hidden page, whose timers take a second: 64 KiB in 62 ms are 1 MiB/s. */
const HIDDEN_TURNS = 100;
/** The first and the longest time in ms between two later checks. */
const FIRST_POLL = 4;
const LAST_POLL = 50;

/** The turns of a page. */
export function pageTurns(): Turns {
  let channel: InstanceType<NonNullable<typeof MessageChannel>> | undefined;
  const turnsEnd = performance.now() + (globalThis.document?.hidden ? HIDDEN_TURNS : TURNS);
  let ms = FIRST_POLL;
  return {
    next(look) {
      const { MessageChannel: Channel } = globalThis;
      if (Channel && performance.now() < turnsEnd) {
        channel ??= new Channel();
        channel.port1.onmessage = look;
        channel.port2.postMessage(null);
      } else {
        setTimeout(look, ms);
        ms = Math.min(ms * 2, LAST_POLL);
      }
    },
    end: () => channel?.port1.close(),
  };
}
