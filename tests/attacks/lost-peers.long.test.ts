// Slow peers against the default timeout of 10 s.
import { describe, it } from 'vitest';
import { nothingLeft } from '../peers/index.ts';
import { atMost, survives } from './harness/index.ts';
import { SlowClient, targetServer } from './target-server.ts';

describe('peers without a complete head', () => {
  nothingLeft();

  it('are disconnected after 10 s', async () => {
    const target = await targetServer();
    await survives(
      { attack: 'slow peers against the default timeout' },
      {
        socket: 'destroyed',
        upgraded: 0,
        // Node checks its connections once a second.
        ms: atMost(12_000),
        rounds: 1,
      },
      async () => {
        const clients = [
          await SlowClient.connect(target.port, 'nothing'),
          await SlowClient.connect(target.port, { ms: 100 }),
        ];
        const [idle, slow] = await Promise.all(clients.map((client) => client.ended()));
        return {
          socket: slow!.socket,
          upgraded: idle!.upgraded + slow!.upgraded,
          ms: Math.max(idle!.ms, slow!.ms),
        };
      },
    );
  });
});
