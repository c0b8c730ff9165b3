import { MessageChannel, type MessagePort } from 'node:worker_threads';

/** ES2024: Node 22, Bun and Deno have it. */
interface Transferable {
  transfer?(length: number): ArrayBuffer;
}

let closedPort: MessagePort | undefined;

/**
 * Frees the memory of `bytes` now, if it is all of its ArrayBuffer: `bytes` is empty afterwards.
 * Otherwise V8 collects the whole heap after some 20 MiB of such memory (Node 20), because it does
 * not see that a read chunk is garbage.
 */
export function freeMemory({ buffer, byteLength }: Uint8Array): void {
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength !== byteLength) return;
  try {
    if ((buffer as Transferable).transfer === undefined) droppingPort().postMessage(0, [buffer]);
    else (buffer as Transferable).transfer!(0);
  } catch {
    // Memory that cannot be transferred stays with its owner.
  }
}

/** A closed port takes over the memory that is posted to it, and drops it (HTML, section 9.4.4). */
function droppingPort(): MessagePort {
  if (closedPort === undefined) {
    closedPort = new MessageChannel().port1;
    closedPort.close();
  }
  return closedPort;
}
