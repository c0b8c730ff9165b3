import type { ChildProcess } from 'node:child_process';

/** Interval at which the end of the channel to a dead worker is looked for, in ms. */
const LOOK_MS = 100;

/** A message of `node:cluster`: the primary hands over a connection, or a worker answers that. */
interface ClusterMessage {
  readonly cmd?: unknown;
  readonly act?: unknown;
  readonly seq?: unknown;
  readonly ack?: unknown;
}

/**
 * When a worker dies, closes the connections that the primary has handed over to it, and that it has not
 * answered. Node keeps them open for ever, so their clients would wait for their own timeout. In that case
 * Node also emits no 'disconnect': this function does (`lib/internal/child_process.js`, `disconnect`, and
 * `lib/internal/cluster/round_robin_handle.js`, `handoff`, of Node 20, 22 and 24).
 */
export function closeUnaccepted(worker: ChildProcess): void {
  const unaccepted = new Map<unknown, { close(): void }>();
  const send = worker.send.bind(worker) as (...args: unknown[]) => boolean;
  worker.send = (message: unknown, handle?: unknown, ...rest: unknown[]) => {
    const { cmd, act, seq } = Object(message) as ClusterMessage;
    if (cmd === 'NODE_CLUSTER' && act === 'newconn') {
      unaccepted.set(seq, handle as { close(): void });
    }
    return send(message, handle, ...rest);
  };
  worker.on('internalMessage', ({ ack }: ClusterMessage) => void unaccepted.delete(ack));
  let isDisconnected = false;
  worker.once('disconnect', () => {
    isDisconnected = true;
    for (const handle of unaccepted.values()) handle.close();
    unaccepted.clear();
  });
  worker.once('exit', () => {
    const timer = setInterval(() => {
      // The last messages of the worker may not have been read.
      if (worker.connected) return;
      clearInterval(timer);
      if (!isDisconnected) worker.emit('disconnect');
    }, LOOK_MS);
  });
}
