import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP relay that cuts or freezes the network. */
export interface Relay {
  readonly port: number;
  /** Ends all connections, and each new one until {@link mend}. */
  cut(): void;
  /** Forwards nothing until {@link mend}; connections stay open. */
  freeze(): void;
  mend(): void;
  /** Forwards half of the next chunk of each connection, and ends it. New connections work. */
  tear(): void;
  close(): Promise<void>;
}

/** @param target - The port of 127.0.0.1 to connect to; undefined when nothing listens. */
export async function startRelay(target: () => number | undefined): Promise<Relay> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const torn = new WeakSet<Socket>();
  let isCut = false;
  let isFrozen = false;
  const server = createServer((near) => {
    const port = target();
    near.on('error', () => {});
    if (isCut || port === undefined) return near.destroy();
    const far = connect(port, '127.0.0.1').on('error', () => {});
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [far, near]] as const) {
      from.on('data', (chunk) => {
        if (!torn.has(near)) return void to.write(chunk);
        to.write(chunk.subarray(0, chunk.length >> 1));
        from.destroy();
      });
      from.on('close', () => {
        to.destroy();
        pairs.delete(pair);
      });
      if (isFrozen) from.pause();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const destroyAll = (): void => {
    for (const [near] of pairs) near.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      isCut = true;
      destroyAll();
    },
    freeze() {
      isFrozen = true;
      for (const pair of pairs) for (const socket of pair) socket.pause();
    },
    mend() {
      isCut = false;
      isFrozen = false;
      for (const pair of pairs) for (const socket of pair) socket.resume();
    },
    tear() {
      for (const [near] of pairs) torn.add(near);
    },
    async close() {
      server.close();
      destroyAll();
      await once(server, 'close');
    },
  };
}
