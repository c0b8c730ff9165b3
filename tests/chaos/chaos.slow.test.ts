import { describe, expect, it } from 'vitest';
import { turn } from '../kit/fake-platform.ts';
import { nothingLeft } from '../peers/index.ts';
import { chaos } from './run.ts';

const SEED = Number(process.env['CHAOS_SEED'] ?? 20_260);
const MESSAGES = Number(process.env['CHAOS_MESSAGES'] ?? 50_000);

/** Timers that keep this process alive; those of the test runner vary. */
function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
}

function listeners(): number {
  return process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
}

describe('messages through a proxy that cuts, resets, delays and splits', () => {
  nothingLeft();

  it('arrive exactly once and in order, or their loss is reported', async () => {
    console.log(
      `seed ${SEED}, ${MESSAGES} messages; CHAOS_SEED=n for another, pnpm long chaos for more`,
    );
    const [timersBefore, listenersBefore] = [timers(), listeners()];
    const result = await chaos({ seed: SEED, messages: MESSAGES, round: 80 });
    const again = `repeat: pnpm long chaos --seed ${SEED} --messages ${result.received}`;
    expect(result.findings.join('\n\n'), again).toBe('');
    expect(result.received).toBeGreaterThanOrEqual(MESSAGES);
    const { connections, cut, lost, refused, pairings } = result;
    console.log(
      `${result.received} messages on ${connections} connections, ${cut} of them cut; ` +
        `${lost} lost and ${refused} refused, each one reported`,
    );
    console.log(pairings);
    expect(cut).toBeGreaterThan(connections / 5);
    expect(connections - cut).toBeGreaterThan(connections / 5);
    expect(Math.min(lost, refused)).toBeGreaterThan(0);
    expect(pairings.size).toBe(10);
    const end = performance.now() + 3_000;
    while (timers() > timersBefore && performance.now() < end) await turn();
    expect(timers()).toBeLessThanOrEqual(timersBefore);
    expect(listeners()).toBe(listenersBefore);
  }, 900_000);
});
