import { rudeClient } from './rude-client.ts';
import type { Kind } from './scene.ts';

/** Clients that are only there: they answer the heartbeat, and stay until all is over. Nothing costs less. */
export const calmLife: Kind = {
  weight: 1,
  name: 'calm',
  life: async (scene, random) => {
    const { url } = random.pick(scene.addresses);
    const client = await scene.admit(async () => {
      const coming = await rudeClient(scene, url);
      const status = await coming.upgrade('/quiet');
      if (status === 101) return coming;
      coming.destroy();
      throw new Error(`answered with ${status}`);
    });
    if (client === undefined) return;
    client.answerPings();
    await scene.untilOver(client.closed);
    const early = !scene.over;
    if (random.below(2) === 0) client.frame(8);
    else client.end();
    const ended = await scene.within(60_000, client.closed);
    client.destroy();
    if (early) throw new Error('the server ended it');
    if (!ended) throw new Error('the server keeps it');
  },
};
