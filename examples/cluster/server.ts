// One port, one process for each core. A message of one client reaches the clients of all processes.
import process from 'node:process';
import { Hub } from '@ws/hub';
import { clusterBackplane, runCluster } from '@ws/hub/cluster';
import { serve } from '@ws/node-server';

const { PORT = '0', WORKERS } = process.env;

try {
  await runCluster({ workers: WORKERS === undefined ? undefined : Number(WORKERS) }, async () => {
    const hub = new Hub({ backplane: clusterBackplane(), rooms: { all: { history: true } } });
    hub.on('connect', async (session) => {
      await session.join('all');
      session.send(`you are with process ${process.pid}`);
    });
    hub.on('message', (_, message) => hub.room('all').publish(message));
    const options = { port: Number(PORT), host: '127.0.0.1', readLimit: 4096 };
    const server = await serve(options, hub.handler);
    console.log(`${server.url} by process ${process.pid}`);
    return {
      async close(how) {
        await hub.close({ timeout: 5_000, ...how });
        await server.close({ timeout: 5_000, ...how });
      },
    };
  });
} catch (error) {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
}
