import { createServer, type Server, type Socket } from 'node:net';
import * as ws from '@ws/codec';
import { perMessageDeflate } from '@ws/deflate';
import { nodeDeflate } from '@ws/node-io';
import { accept, TIMEOUT } from './handshake.ts';

const LIMIT = 1024 * 1024; // bytes of one message
const { DEFAULT_COMPRESSION: compression } = ws;
const deflate = perMessageDeflate(nodeDeflate);
const runtime: ws.ExtensionRuntime = {
  now: () => performance.now(),
  yield: (callback) => setImmediate(callback),
  fireLater: (entry, ms) => setTimeout(() => entry.fire(), ms).unref(),
  inOwnContext: (call) => call(),
};

/** Echoes every message, compressed if the client offers permessage-deflate. */
export function serve(port: number, origins: readonly string[] = []): Server {
  return createServer((socket) => {
    let extension: ws.DeflateExtension | undefined;
    accept(
      socket,
      origins,
      (early) => echo(socket, early, extension),
      (head) => {
        const offers = ws.parseExtensions(head.list('sec-websocket-extensions')) ?? [];
        const limits = deflate.limits(compression, 'server', LIMIT);
        const agreed = typeof limits === 'string' ? undefined : ws.negotiateDeflate(offers, limits);
        extension = agreed && deflate.extension(agreed.parameters, compression, 'server', runtime);
        return agreed && { extensions: [agreed.answer] };
      },
    );
  }).listen(port, '127.0.0.1');
}

function echo(socket: Socket, early: Uint8Array, extension?: ws.DeflateExtension): void {
  const decoder = new ws.MessageDecoder({ role: 'server', readLimit: LIMIT });
  // Copies every payload: it is borrowed from the decoder, or from the extension.
  const output = new ws.FrameEncoder({ role: 'server', borrowFrom: Infinity });
  let ended = false;
  if (extension !== undefined) {
    decoder.extension = extension;
    // Called when a message can continue for which `next` has returned NEED_MORE.
    extension.resume = read;
  }

  function send({ type, bytes, start, end }: ws.MessageDecoder): void {
    const size = extension?.wants(end - start, undefined)
      ? extension.encode(bytes, start, end, true, true)
      : -1; // as of `encode`: the message is left as it is
    if (size < 0) output.frame(type, true, 0, bytes, start, end);
    else output.frame(type, true, extension!.sentRsv ?? extension!.rsv, extension!.output, 0, size);
    extension?.endOutput(true);
  }

  function read(): void {
    for (let event: number; !ended && (event = decoder.next()) > ws.NEED_MORE; ) {
      const { bytes, start, end } = decoder;
      if (event === ws.MESSAGE) send(decoder);
      else if (event === ws.PING) output.frame(ws.PongMessage, true, 0, bytes, start, end);
      else if (event === ws.CLOSE) finish(closeCode(decoder.data()));
    }
    if (decoder.error !== undefined) finish(decoder.error.closeCode);
    output.flush((chunk, release) => socket.write(chunk, release) || socket.pause());
    if (ended) socket.end();
    else decoder.keep(); // ends the loan of the chunk
  }

  function finish(code: number): void {
    leave();
    output.close(code);
    socket.removeAllListeners('data').resume();
    setTimeout(() => socket.destroy(), TIMEOUT).unref();
  }

  function leave(): void {
    ended = true;
    decoder.destroy();
    extension?.destroy();
    extension?.detach?.();
  }

  const receive = (chunk: Uint8Array): void => {
    decoder.push(chunk);
    read();
  };
  socket.on('data', receive).on('drain', () => socket.resume());
  socket.on('close', () => ended || leave());
  receive(early);
}

function closeCode(payload: Uint8Array): number {
  try {
    return ws.parseCloseMessage(payload).code;
  } catch (error) {
    return (error as ws.ProtocolError).closeCode;
  }
}
