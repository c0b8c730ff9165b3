import { type Daemon, startDaemon, whenOver } from '@ws/tests';
import { type Relay, startRelay } from '../nats/relay.ts';
import type { Engine } from './killer.ts';

/** A `redis-server` without a disk: after a kill it starts empty. */
export async function redisServer(): Promise<Engine> {
  let daemon: Daemon | undefined;
  const relays: Relay[] = [];
  const engine: Engine = {
    name: 'redis',
    ordered: ['through', 'ordered'],
    async relay() {
      const relay = await startRelay(() => daemon?.port);
      relays.push(relay);
      return relay;
    },
    async stop() {
      daemon?.process.kill('SIGKILL');
      await daemon?.close();
      daemon = undefined;
    },
    async start() {
      daemon = await startDaemon({
        command: 'redis-server',
        args: ({ port }) => ['--port', String(port), '--bind', '127.0.0.1', '--save', ''],
      });
    },
  };
  await engine.start();
  whenOver(async () => {
    await Promise.all(relays.map((relay) => relay.close()));
    await engine.stop();
  });
  return engine;
}
