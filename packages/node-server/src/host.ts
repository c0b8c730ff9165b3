import type { CloseInfo, Host, Watch } from '@ws/conn';
import { nodeHost } from '@ws/node-io';

/**
 * Node as the platform of one server's connections, which tells the server as well when one of them is over: so that
 * it need not listen to each.
 */
export function hostOf(closed: (conn: object) => void): Host {
  const inner = nodeHost.watch;
  const watch: Watch = Object.create(inner ?? null, {
    closed: {
      value: (conn: object, info: CloseInfo): void => {
        closed(conn);
        inner?.closed?.(conn, info);
      },
    },
  });
  // What the process is told to change later, for all of its connections, changes here too.
  return Object.create(nodeHost, { watch: { value: watch }, base: { value: nodeHost } });
}
