import { describe, expect, it } from 'vitest';
import { chaos } from '../../src/chaos/run.ts';
import { turn } from '../../src/fake-host.ts';
import { nothingLeft } from '../../src/peers/index.ts';

const SEED = Number(process.env['CHAOS_SEED'] ?? 20_260);
const MESSAGES = Number(process.env['CHAOS_MESSAGES'] ?? 1_000_000);

/** Timers that keep this process alive; the runner's own come and go. */
function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
}

function listeners(): number {
  return process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
}

describe('messages through a proxy that cuts, resets, holds back and chops', () => {
  nothingLeft();

  it('arrive exactly once and in order, or their sender is told', async () => {
    console.log(
      `seed ${SEED}, ${MESSAGES} messages; CHAOS_SEED=n for another, pnpm chaos for more`,
    );
    const [timersBefore, listenersBefore] = [timers(), listeners()];
    const tally = await chaos({ seed: SEED, messages: MESSAGES });
    const again = `again: pnpm chaos --seed ${SEED} --messages ${tally.heard}`;
    expect(tally.findings.join('\n\n'), again).toBe('');
    expect(tally.heard).toBeGreaterThanOrEqual(MESSAGES);
    const { connections, cut, lost, refused, pairings } = tally;
    console.log(
      `${tally.heard} messages on ${connections} connections, ${cut} of them cut; ` +
        `${lost} lost and ${refused} refused, all of which was told`,
    );
    console.log(pairings);
    // Both the faults and the peers were many.
    expect(cut).toBeGreaterThan(connections / 5);
    expect(connections - cut).toBeGreaterThan(connections / 5);
    expect(Math.min(lost, refused)).toBeGreaterThan(0);
    expect(pairings.size).toBe(10);
    for (let i = 0; i < 1_000 && timers() > timersBefore; i++) await turn();
    expect(timers()).toBeLessThanOrEqual(timersBefore);
    expect(listeners()).toBe(listenersBefore);
  }, 900_000);
});
