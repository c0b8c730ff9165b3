import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** Bytes of the buffer: as many as ours reads at most. */
const SIZE = 256 * 1024;

/** The parts of a socket that Node does not document. */
type ReadingSocket = Socket & {
  [key: symbol]: unknown;
  readonly _handle: { useUserBuffer(buffer: Uint8Array): void };
};

/** The own symbols of a socket that its documented option `onread` sets. */
interface Keys {
  readonly buffer: symbol;
  /** Called with each read. Its result `false` stops reading. */
  readonly callback: symbol;
}

const keys = findKeys();
const shared = Buffer.allocUnsafeSlow(SIZE);

/** The sockets that echo. */
const echoing = new Set<Socket>();
/** Writes whose bytes are still in the buffer. */
let unfinished = 0;

/** Whether this Node lets accepted sockets read into one buffer. */
export function hasOneBuffer(): boolean {
  return keys !== undefined;
}

/**
 * Lets a socket read into the one buffer of this process. That is the least that Node can do:
 * otherwise each read creates a chunk of 64 KiB.
 *
 * @param receive - Gets the bytes of a read. The next read of any socket overwrites them.
 */
export function readIntoOneBuffer(socket: Socket, receive: (bytes: Buffer) => void): void {
  const reading = socket as ReadingSocket;
  reading[keys!.buffer] = shared;
  reading[keys!.callback] = (end: number): true => {
    receive(shared.subarray(0, end));
    return true;
  };
  reading._handle.useUserBuffer(shared);
  socket.resume();
}

/** Sends all bytes back from the one buffer. */
export function echoFromOneBuffer(socket: Socket): void {
  echoing.add(socket);
  socket.once('close', () => echoing.delete(socket));
  readIntoOneBuffer(socket, (bytes) => {
    // A chunk that waits behind another one in the stream is a copy.
    socket.write(socket.writableLength === 0 ? bytes : Buffer.from(bytes));
    // TLS has encrypted the bytes. TCP still needs those that the kernel did not take.
    if (socket.writableLength > 0 && !(socket instanceof TLSSocket)) stopReadsUntilWritten(socket);
  });
}

/** Rare: the peer must be slower than the buffers of the kernel. */
function stopReadsUntilWritten(socket: Socket): void {
  if (unfinished++ === 0) for (const one of echoing) one.pause();
  socket.write('', () => {
    if (--unfinished === 0) for (const one of echoing) one.resume();
  });
}

/** Finds the symbols by value, because their names may change. */
function findKeys(): Keys | undefined {
  const value = { buffer: Buffer.alloc(1), callback: (): boolean => true };
  const socket = new Socket({ onread: value } as object) as ReadingSocket;
  const keyOf = (wanted: unknown): symbol | undefined =>
    Object.getOwnPropertySymbols(socket).find((key) => socket[key] === wanted);
  const [buffer, callback] = [keyOf(value.buffer), keyOf(value.callback)];
  return buffer === undefined || callback === undefined ? undefined : { buffer, callback };
}
