import { onTestFinished } from 'vitest';

/** Stops the clock of the process for a test. Timers wait for it too. */
export function stopClock(): { advance(ms: number): void } {
  // Timers wait for whole ms.
  let now = Math.ceil(performance.now());
  // No spy, which would keep each call.
  performance.now = () => now;
  onTestFinished(() => void Reflect.deleteProperty(performance, 'now'));
  return {
    advance: (ms) => {
      now += ms;
    },
  };
}
