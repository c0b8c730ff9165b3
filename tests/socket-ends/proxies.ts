import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import { createProxy, type Mode } from '@ws/proxy';
import { reset } from '../kit/reset.ts';
import { selfSigned, switchingProtocols, turn, upgradeRequest, whenOver } from '../peers/index.ts';
import { ENDS, readUntil } from './ends.ts';
import { freshPath, type SocketPair } from './kinds.ts';

/** A proxy, prepared for one test. */
export interface ProxyUnderTest {
  /** Whether the sockets of targets are TCP without TLS. */
  readonly isTcp: boolean;
  /** Gives the proxy the socket of a client. */
  readonly take: (near: Duplex) => void;
  /** Waits for the proxy's next connection to the target. */
  readonly nextTarget: () => Promise<Socket>;
  /** Connections that the proxy has not ended. */
  readonly open: () => number;
  readonly stop: () => Promise<unknown>;
}

export const MODES: readonly Mode[] = ['bytes', 'frames', 'messages'];

/** Kinds of the socket between the proxy and its target. */
export const TARGETS = ['TCP', 'TLS', 'a Unix socket'] as const;

/** Starts a target that answers nothing, and a proxy to it. */
export async function startProxy(
  mode: Mode,
  kind: (typeof TARGETS)[number],
): Promise<ProxyUnderTest> {
  const path = kind === 'a Unix socket' ? freshPath() : undefined;
  const { key, cert } = await selfSigned();
  const target =
    kind === 'TLS' ? createTlsServer({ key, cert }) : createServer({ allowHalfOpen: true });
  const waiting: ((socket: Socket) => void)[] = [];
  const early: Socket[] = [];
  target.on(kind === 'TLS' ? 'secureConnection' : 'connection', (socket: Socket) => {
    socket.allowHalfOpen = true;
    socket.on('error', () => {});
    whenOver(() => void socket.destroy());
    const taker = waiting.shift();
    if (taker === undefined) early.push(socket);
    else taker(socket);
  });
  target.listen(path === undefined ? { port: 0, host: '127.0.0.1' } : { path });
  await once(target, 'listening');
  const url =
    path === undefined
      ? `${kind === 'TLS' ? 'wss' : 'ws'}://127.0.0.1:${(target.address() as AddressInfo).port}`
      : `ws+unix:${path}:/`;
  const proxy = createProxy([{ url, tls: kind === 'TLS' ? { ca: cert } : undefined }], {
    mode,
    attempts: 1,
    handshakeTimeout: 2_000,
    report: () => {},
  });
  const front = createHttpServer().on('upgrade', proxy.handler);
  return {
    isTcp: kind === 'TCP',
    take: (near) => void front.emit('connection', near),
    nextTarget: async () => early.shift() ?? new Promise((resolve) => void waiting.push(resolve)),
    open: () => proxy.proxied.size,
    stop: async () => {
      await proxy.close({ timeout: 1 });
      target.close();
    },
  };
}

/** A client and a target that a proxy joins. */
export interface Joined extends SocketPair {
  readonly target: Socket;
  readonly isTcp: boolean;
}

/** The ends of a proxied connection. */
export const PROXY_ENDS: Readonly<Record<string, (joined: Joined) => void>> = {
  ...ENDS,
  'a FIN of the target': ({ target }) => void target.end(() => target.destroy()),
  'a half-close of the target': ({ target }) => void target.end(),
  'a reset of the target': ({ target, isTcp }) => (isTcp ? reset(target) : void target.destroy()),
  'a destroy of the target': ({ target }) => void target.destroy(),
};

const LARGE = Buffer.alloc(400_000);

/** The moments at which a proxied connection ends. */
export const PROXY_MOMENTS: Readonly<Record<string, (joined: Joined) => Promise<unknown>>> = {
  'before the answer': async () => {},
  async 'within the answer'({ target }) {
    target.write(switchingProtocols(await readUntil(target, '\r\n\r\n')).slice(0, 40));
    await turn();
  },
  'after the handshake': open,
  async 'within a frame'(joined) {
    await open(joined);
    joined.far.write(Buffer.of(0x82, 0x85, 1));
    joined.target.write(Buffer.of(0x82, 0x05, 1));
    await turn();
  },
  async 'while bytes wait'(joined) {
    await open(joined);
    // Frames of 256 KiB and more, of which no side reads a byte.
    joined.far.write(Buffer.of(0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 1, 2, 3, 4));
    joined.far.write(LARGE);
    joined.target.write(Buffer.of(0x82, 0x7f, 0, 0, 0, 0, 0, 0x10, 0, 0));
    joined.target.write(LARGE);
    await turn();
  },
};

async function open({ far, target }: Joined): Promise<void> {
  target.write(switchingProtocols(await readUntil(target, '\r\n\r\n')));
  await readUntil(far, '\r\n\r\n');
}

/** Sends a client's request through the proxy, and waits until it has reached the target. */
export async function join(proxy: ProxyUnderTest, pair: SocketPair): Promise<Joined> {
  proxy.take(pair.near);
  pair.far.write(upgradeRequest());
  return { ...pair, target: await proxy.nextTarget(), isTcp: proxy.isTcp };
}
