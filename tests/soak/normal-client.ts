import { answerPings, connectRaw, upgrade } from './raw-client.ts';
import type { ClientKind } from './run-state.ts';

/** Idle clients, the cheapest kind: they answer pings and stay until the run is over. */
export const normalClient: ClientKind = {
  weight: 1,
  name: 'idle',
  behave: async (state, random) => {
    const { url } = random.pick(state.addresses);
    const client = await state.admit(async () => {
      const coming = await connectRaw(state, url);
      const status = await upgrade(coming, '/quiet');
      if (status === 101) return coming;
      coming.destroy();
      throw new Error(`status ${status}`);
    });
    if (client === undefined) return;
    answerPings(client);
    await state.untilOver(client.closed);
    const early = !state.over;
    if (random.below(2) === 0) void client.send(8);
    else client.end();
    const ended = await state.within(60_000, client.closed);
    client.destroy();
    if (early) throw new Error('the server closed the connection');
    if (!ended) throw new Error('the server keeps the connection');
  },
};
