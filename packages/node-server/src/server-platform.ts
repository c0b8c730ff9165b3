import type { CloseInfo, Observer, Platform } from '@ws/conn';
import { WriteBudget } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';

/**
 * Makes the platform of one server's connections: Node, with an observer that also reports to the
 * server when a connection has closed. The server then needs no listener on each connection.
 *
 * @param maxTotalBufferedAmount - Most bytes that wait in all connections together; Infinity for no
 *   bound.
 */
export function platformOfServer(
  onClosed: (conn: object) => void,
  maxTotalBufferedAmount: number,
): Platform {
  const inner = nodePlatform.observer;
  const observer: Observer = Object.create(inner ?? null, {
    closed: {
      value: (conn: object, info: CloseInfo): void => {
        onClosed(conn);
        inner?.closed?.(conn, info);
      },
    },
  });
  // A prototype, not a copy: settings of the process that change later apply here too.
  return Object.create(nodePlatform, {
    observer: { value: observer },
    base: { value: nodePlatform },
    writeBudget: {
      value:
        maxTotalBufferedAmount === Infinity ? undefined : new WriteBudget(maxTotalBufferedAmount),
    },
  });
}
