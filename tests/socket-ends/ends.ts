import type { Duplex } from 'node:stream';
import type { Role } from '@ws/codec';
import { switchingProtocols, turn, upgradeRequest } from '../kit/index.ts';
import { naiveEncode } from '../kit/naive-encoder.ts';
import type { SocketPair } from './kinds.ts';

/** The ends of a connection. */
export const ENDS: Readonly<Record<string, (pair: SocketPair) => void>> = {
  'a FIN': ({ far }) => void far.end(() => far.destroy()),
  'a half-close': ({ far }) => void far.end(),
  'a reset': ({ resetFar }) => resetFar(),
  'a destroy': ({ far }) => void far.destroy(),
  'a destroy of our socket': ({ near }) => void near.destroy(),
  'an error of our socket': ({ near }) => void near.destroy(new Error('our socket failed')),
};

/** Reads from a stream until `text` has come or the stream has ended, and returns all of it. */
export function readUntil(stream: Duplex, text: string): Promise<string> {
  return new Promise((resolve) => {
    let read = '';
    const done = (): void => {
      stream.off('data', onData).off('close', done).off('end', done).pause();
      resolve(read);
    };
    const onData = (chunk: Buffer): void => {
      read += chunk.toString('latin1');
      if (read.includes(text)) done();
    };
    if (stream.destroyed || stream.readableEnded) return done();
    stream.on('data', onData).on('close', done).on('end', done).resume();
  });
}

function frame(role: FarRole, opcode: number, payload: Uint8Array | string): Uint8Array {
  const mask = role.endsWith('client') ? { mask: 0x37fa213d } : {};
  return naiveEncode(opcode, payload, mask);
}

const LARGE = Buffer.alloc(400_000, 'x');

/** The far end of a connection: its role, and whether a handshake comes before the frames. */
type FarRole = Role | 'bare client' | 'bare server';

/** A moment of a connection: what the far end has done before the end. */
type Moment = (far: Duplex, role: FarRole) => Promise<void>;

async function handshake(far: Duplex, role: FarRole): Promise<void> {
  if (role.startsWith('bare')) return;
  if (role === 'client') {
    far.write(upgradeRequest());
    await readUntil(far, '\r\n\r\n');
  } else far.write(switchingProtocols(await readUntil(far, '\r\n\r\n')));
}

/** The moments at which a connection ends. */
export const MOMENTS: Readonly<Record<string, Moment>> = {
  'before the handshake': async () => {},
  async 'within the head'(far, role) {
    if (role !== 'server') far.write(upgradeRequest().slice(0, 50));
    else far.write(switchingProtocols(await readUntil(far, '\r\n\r\n')).slice(0, 50));
    await turns();
  },
  async 'right after the head'(far, role) {
    if (role !== 'server') far.write(upgradeRequest());
    else far.write(switchingProtocols(await readUntil(far, '\r\n\r\n')));
  },
  async 'after a refused head'(far, role) {
    if (role !== 'server')
      far.write('GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n');
    else {
      await readUntil(far, '\r\n\r\n');
      far.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 1000\r\n\r\nno');
    }
    await turns();
  },
  async 'after the handshake'(far, role) {
    await handshake(far, role);
    await turns();
  },
  async 'within a frame'(far, role) {
    await handshake(far, role);
    far.write(frame(role, 2, 'cut off').subarray(0, 8));
    await turns();
  },
  async 'while an echo waits'(far, role) {
    await handshake(far, role);
    far.write(frame(role, 2, LARGE));
    await turns();
  },
  async 'within the closing handshake'(far, role) {
    await handshake(far, role);
    far.write(frame(role, 8, Buffer.of(3, 232)));
  },
};

/** Lets bytes arrive. */
async function turns(): Promise<void> {
  for (let i = 0; i < 8; i++) await turn();
}
