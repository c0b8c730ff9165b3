// Peers that echo one message, and then answer a close frame or vanish with their process.
import type { Socket } from 'node:net';
import { answer } from '../harness/child.ts';
import { maskedFrame } from './corpus.ts';
import { openSocket, type Target } from './handshake.ts';

/** The requests that the process answers. When it ends, its peers vanish without a close frame. */
export type PeersAnswers = {
  /** Opens connections. Each has echoed one message when the promise resolves. */
  open: (request: { target: Target; connections: number }) => Promise<void>;
};

/** Number of connections that are opened at a time. */
const PARALLEL_DIALS = 128;
const CLOSE = 0x88;
const MASK_KEY = 0x5ca1ab1e;
const MESSAGE = maskedFrame(0x82, Buffer.alloc(100, 1), MASK_KEY);
const GOING_AWAY = maskedFrame(CLOSE, Buffer.from([0x03, 0xe9]), MASK_KEY);

async function open({ target, connections }: Parameters<PeersAnswers['open']>[0]): Promise<void> {
  for (let left = connections; left > 0; left -= PARALLEL_DIALS) {
    const some = Math.min(PARALLEL_DIALS, left);
    await Promise.all(Array.from({ length: some }, () => openPeer(target)));
  }
}

async function openPeer(target: Target): Promise<void> {
  const { socket } = await openSocket(target);
  socket.on('error', () => {});
  await new Promise<void>((echoed, failed) => {
    socket.once('close', () => failed(new Error('the server closed the connection')));
    socket.once('data', () => {
      socket.on('data', (chunk) => answerClose(socket, chunk));
      echoed();
    });
    socket.write(MESSAGE);
  });
}

function answerClose(socket: Socket, chunk: Buffer): void {
  if (chunk[0] === CLOSE) socket.write(GOING_AWAY);
}

answer({ open } satisfies PeersAnswers);
