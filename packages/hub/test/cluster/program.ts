// A program with runCluster, for tests. While the file FAIL exists, `start` rejects. With STUCK, no `close` settles;
// with BAD, `close` rejects. With CHILD, a worker prints how many processes share its memory, and that of its child.
// With SLOW, `start` waits for so many ms. With CAUSE, the error of `start` has a cause that cannot be copied. With
// ALIKE, the processes send the messages of alike.ts. With LONE, the hub has no backplane, and there is a second one.
// CLOSE is the option `close`, and HANDSHAKES that of the server; /phase tells its phase.
import { execFileSync } from 'node:child_process';
import cluster from 'node:cluster';
import { existsSync } from 'node:fs';
import process from 'node:process';
import { clusterBackplane, runCluster } from '@ws/hub/cluster';
import { serveRooms } from '@ws/hub/rooms';
import { serve, type WsServer } from '@ws/node-server';
import { MESSAGES } from './alike.ts';

const {
  PORT,
  COUNT,
  FAIL,
  SIGNALS,
  STUCK,
  BAD,
  CHILD,
  SLOW = '0',
  CAUSE,
  ALIKE,
  LONE,
  CLOSE = '{}',
  HANDSHAKES,
} = process.env;
const SHARES = 'console.log(process.env[`WS_WORKERS_${process.ppid}`])';
const fails = (): boolean => FAIL !== undefined && existsSync(FAIL);

try {
  const running = await runCluster(
    { workers: Number(COUNT), signals: SIGNALS !== 'off', close: JSON.parse(CLOSE) as object },
    async () => {
      console.log(`starting ${process.pid}`);
      await new Promise((resolve) => setTimeout(resolve, Number(SLOW)));
      if (CHILD !== undefined) {
        const own = process.env[`WS_WORKERS_${process.ppid}`];
        const child = execFileSync(process.execPath, ['-e', SHARES], { encoding: 'utf8' });
        console.log(`shares ${own} ${child.trim()}`);
      }
      if (fails()) {
        const cause = CAUSE === undefined ? undefined : { retry() {} };
        throw Object.assign(new RangeError('this one fails', { cause }), { code: 'E_FAILS' });
      }
      if (ALIKE !== undefined) for (const message of MESSAGES) process.send!(message);
      const rooms = serveRooms(
        { 'chat/*': { history: true, mayJoin: true, mayPublish: true } },
        LONE === undefined ? { hub: { backplane: clusterBackplane() } } : {},
      );
      if (LONE !== undefined) serveRooms({});
      const handshakes = HANDSHAKES === undefined ? undefined : JSON.parse(HANDSHAKES);
      const server: WsServer = await serve(
        { port: Number(PORT), host: '127.0.0.1', handshakes },
        { '/': rooms.handler, '/phase': (conn) => conn.send(server.phase) },
      );
      rooms.hub.onAsk('pid', () => process.pid);
      console.log(`started ${process.pid}`);
      return {
        hub: rooms.hub,
        async close(how: { timeout?: number | undefined; over?: number | undefined }) {
          console.log(`closing ${process.pid} ${JSON.stringify(how)}`);
          if (STUCK !== undefined) await new Promise(() => {});
          if (BAD !== undefined) throw new RangeError('this close fails');
          await rooms.hub.close(how);
          await server.close(how);
          console.log(`closed ${process.pid}`);
        },
      };
    },
  );
  console.log(`up ${process.pid} ${Object.keys(running).join()}`);
  if (ALIKE !== undefined) {
    for (const worker of Object.values(cluster.workers ?? {})) {
      for (const message of MESSAGES) worker!.send(message as object);
    }
  }
  process.on('message', (act) => {
    if ('replace' in running && act === 'replace')
      void running.replace().then(
        () => process.send!('replaced'),
        (error) => process.send!(String(error)),
      );
    if ('replace' in running && (act === 'close' || act === 'hurry'))
      void running.close(act === 'hurry' ? { timeout: 1 } : {}).then(() => process.disconnect());
  });
} catch (error) {
  console.error(error);
  console.log(`refused ${process.pid} ${String(error)} ${(error as { code?: string }).code}`);
}
