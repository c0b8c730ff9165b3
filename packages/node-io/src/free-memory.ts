import { MessageChannel, type MessagePort } from 'node:worker_threads';

/**
 * Bytes within a second that the garbage collector frees as well. With more, V8 collects the whole
 * heap for about every 20 MiB. Freeing has a price too: once a buffer was detached, V8 checks each
 * access to bytes, and a small message costs 6 to 15 % more JavaScript (Node 20).
 */
const LEFT_ALONE = 16 * 1024 * 1024;

/** ES2024: Node 22, Bun and Deno have it. */
interface MaybeTransfer {
  transfer?(length: number): ArrayBuffer;
}

let closedPort: MessagePort | undefined;
let secondBegan = -Infinity;
let bytesInSecond = 0;

/**
 * Frees the memory of `bytes` now and leaves `bytes` empty, if `bytes` is all of its ArrayBuffer.
 * Does nothing before the first second with more than 16 MiB.
 */
export function freeMemory(bytes: Uint8Array): void {
  if (!isWhole(bytes)) return;
  if (bytesInSecond < LEFT_ALONE) leaveAlone(bytes.byteLength);
  else freeNow(bytes);
}

/** As {@link freeMemory}, at any rate: for bytes that waited for a slow peer. */
export function freeNow(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (!isWhole(bytes)) return;
  try {
    if ((buffer as MaybeTransfer).transfer === undefined)
      droppingPort().postMessage(0, [buffer as ArrayBuffer]);
    else (buffer as MaybeTransfer).transfer!(0);
  } catch {
    // Memory that cannot be transferred stays with its owner.
  }
}

function isWhole({ buffer, byteLength }: Uint8Array): boolean {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength;
}

function leaveAlone(bytes: number): void {
  const now = performance.now();
  if (now - secondBegan > 1000) {
    secondBegan = now;
    bytesInSecond = 0;
  }
  bytesInSecond += bytes;
}

/** A closed port takes over the memory that is posted to it, and drops it (HTML, section 9.4.4). */
function droppingPort(): MessagePort {
  if (closedPort === undefined) {
    closedPort = new MessageChannel().port1;
    closedPort.close();
  }
  return closedPort;
}
