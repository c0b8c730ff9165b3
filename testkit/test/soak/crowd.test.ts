import { describe, expect, it } from 'vitest';
import { Crowd } from '../../src/soak/crowd.ts';
import { type Kind, Scene } from '../../src/soak/scene.ts';

const never = new Promise<void>(() => {});

describe('the crowd of a soak', () => {
  it('is calm but for a quarter, and who is calm comes first and stays', async () => {
    const scene = new Scene([], undefined);
    const came: string[] = [];
    const calm: Kind = {
      weight: 1,
      name: 'calm',
      life: () => {
        came.push('calm');
        return scene.untilOver(never);
      },
    };
    let lives = 0;
    const lively: Kind = {
      weight: 1,
      name: 'lively',
      life: async () => {
        came.push('lively');
        // Whoever leaves is replaced: there are two seats.
        if (++lives === 6) scene.stop();
      },
    };
    const crowd = new Crowd(scene, calm, [lively], 1);
    await crowd.fill(8);
    expect(came).toEqual([...Array(6).fill('calm'), ...Array(6).fill('lively')]);
    expect(crowd.present).toBe('');
  });

  it('takes note of a life that went wrong', async () => {
    const scene = new Scene([], undefined);
    const wrong: Kind = {
      weight: 1,
      name: 'wrong',
      life: async () => {
        scene.stop();
        throw new Error('as was planned');
      },
    };
    await new Crowd(scene, wrong, [wrong], 1).fill(1);
    expect([...scene.faults]).toEqual([['wrong: as was planned', 1]]);
  });
});
