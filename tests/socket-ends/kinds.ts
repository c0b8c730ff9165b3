import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type ListenOptions, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import type { Role } from '@ws/codec';
import { reset } from '../kit/reset.ts';
import { selfSigned, whenOver } from '../peers/index.ts';

/** Two ends of one connection. */
export interface SocketPair {
  /** The end that our code gets. */
  readonly near: Duplex;
  /** The end of the test. It does not end itself at a FIN. */
  readonly far: Duplex;
  /** Ends `far` with a RST, where the kind has one. */
  readonly resetFar: () => void;
}

/** Opens pairs of one kind of socket. `role` is that of `near`, which counts for TLS. */
export type OpenPair = (role: Role) => Promise<SocketPair>;

/** Each kind of socket, with a function that prepares it for one test. */
export const KINDS: readonly (readonly [kind: string, prepare: () => Promise<OpenPair>])[] = [
  ['TCP', async () => () => tcpPair()],
  ['TLS', async () => tlsPair],
  ['a Unix socket', async () => () => unixPair()],
  ['a stdio pipe', stdioPipes],
  ['a foreign Duplex', async () => async () => duplexPair(ForeignDuplex)],
  ['a Duplex with methods of a socket that throw', async () => async () => duplexPair(RudeDuplex)],
];

/** Stdio pipes of one test. */
const STDIO_PAIRS = 50;

async function netPair(listen: ListenOptions): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(listen);
  await once(server, 'listening');
  const accepted: Socket[] = [];
  server.on('connection', (socket) => accepted.push(socket));
  const address = server.address() as AddressInfo | string;
  const far = connect(
    typeof address === 'string'
      ? { path: address, allowHalfOpen: true }
      : { port: address.port, host: '127.0.0.1', allowHalfOpen: true },
  );
  far.on('error', () => {});
  await once(far, 'connect');
  // A client of another test may connect: it dials a dead server that had the same port.
  const isOurs = ({ remotePort }: Socket): boolean => remotePort === far.localPort;
  while (!accepted.some(isOurs)) await once(server, 'connection');
  server.close();
  const near = accepted.find(isOurs)!;
  for (const other of accepted) if (other !== near) other.destroy();
  whenOver(() => void near.destroy());
  whenOver(() => void far.destroy());
  return { near, far };
}

async function tcpPair(): Promise<SocketPair> {
  const { near, far } = await netPair({ port: 0, host: '127.0.0.1' });
  return { near, far, resetFar: () => reset(far) };
}

/** A path for a Unix socket. */
export function freshPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ws-ends-'));
  whenOver(() => rmSync(folder, { recursive: true }));
  return join(folder, 's');
}

async function unixPair(): Promise<SocketPair> {
  const { near, far } = await netPair({ path: freshPath() });
  return { near, far, resetFar: () => far.destroy() };
}

async function tlsPair(role: Role): Promise<SocketPair> {
  const { key, cert } = await selfSigned();
  const { near: nearTcp, far: farTcp } = await netPair({ port: 0, host: '127.0.0.1' });
  const secureContext = createSecureContext({ key, cert });
  const [serverTcp, clientTcp] = role === 'server' ? [nearTcp, farTcp] : [farTcp, nearTcp];
  const server = new TLSSocket(serverTcp, { isServer: true, secureContext });
  const client = connectTls({ socket: clientTcp, ca: cert });
  const secured = once(server, 'secure');
  await once(client, 'secureConnect');
  await secured;
  const [near, far] = role === 'server' ? [server, client] : [client, server];
  near.pause();
  far.allowHalfOpen = true;
  far.on('error', () => {});
  return { near, far, resetFar: () => void setImmediate(() => reset(farTcp, far)) };
}

/** A child process copies between pairs of its pipes. */
async function stdioPipes(): Promise<OpenPair> {
  const pipes = Array.from({ length: 2 * STDIO_PAIRS }, () => 'pipe' as const);
  const child = spawn(process.execPath, ['-e', COPY, `${STDIO_PAIRS}`], {
    stdio: ['ignore', 'ignore', 'inherit', ...pipes],
  });
  const ends = child.stdio.slice(3) as unknown as Socket[];
  // The parent's end of a pipe that no test has taken yet.
  for (const end of ends) end.pause();
  const exited = once(child, 'exit');
  whenOver(async () => {
    for (const end of ends) end.destroy();
    child.kill();
    await exited;
  });
  return async () => {
    const near = ends.pop()!;
    const far = ends.pop()!;
    whenOver(() => void near.destroy());
    whenOver(() => void far.destroy());
    far.allowHalfOpen = true;
    far.on('error', () => {});
    return { near, far, resetFar: () => far.destroy() };
  };
}

const COPY = `
const { Socket } = require('node:net');
const count = Number(process.argv[1]);
for (let fd = 3; fd < 3 + 2 * count; fd += 2) {
  const ends = [fd, fd + 1].map((each) => new Socket({ fd: each, allowHalfOpen: true }));
  ends.forEach((end, i) => {
    const other = ends[1 - i];
    end.on('error', () => other.destroy()).on('close', () => other.destroySoon()).pipe(other);
  });
}
`;

/** One end of a stream in memory, as libraries write them: no method of a socket. */
class ForeignDuplex extends Duplex {
  other!: ForeignDuplex;
  #taken: (() => void) | undefined;

  override _read(): void {
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    process.nextTick(() => {
      if (this.other.destroyed || this.other.push(chunk)) done();
      else this.other.#taken = done;
    });
  }

  override _final(done: () => void): void {
    process.nextTick(() => {
      this.other.push(null);
      done();
    });
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    process.nextTick(() => this.other.destroy());
    done(error);
  }
}

function refuse(): never {
  throw new Error('this stream is no socket');
}

/** As the socket of an HTTP/2 session, whose methods throw. */
class RudeDuplex extends ForeignDuplex {
  setNoDelay = refuse;
  setKeepAlive = refuse;
  setTimeout = refuse;
  ref = refuse;
  unref = refuse;
  address = refuse;
  resetAndDestroy = refuse;

  get remoteAddress(): never {
    return refuse();
  }

  get localAddress(): never {
    return refuse();
  }
}

function duplexPair(Kind: new () => ForeignDuplex): SocketPair {
  const near = new Kind();
  const far = new Kind();
  near.other = far;
  far.other = near;
  far.on('error', () => {});
  return { near, far, resetFar: () => far.destroy(new Error('reset')) };
}
