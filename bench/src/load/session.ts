import type { Socket } from 'node:net';
import { maskedFrame } from './corpus.ts';

/** The event of a message in socket.io. */
export const ECHO_EVENT = 'e';

const TEXT = 0x81;
const MASK_KEY = 0x5ca1ab1e;

/** A protocol over the messages of a connection. */
interface Session {
  readonly path: string;
  /** The beginnings of the text messages of the server, each after our answer to the one before. */
  readonly welcomes: readonly string[];
  /** Our answers to all of them but the last. */
  readonly answers: readonly string[];
  /** The message with a text, which is echoed as it is. */
  message(text: string): string;
}

/**
 * The protocols.
 *
 * @see https://socket.io/docs/v4/engine-io-protocol and .../socket-io-protocol: `0` opens, `4` is a
 *   message, `40` joins the main namespace, `42` is an event.
 */
export const SESSIONS = {
  'engine.io': {
    path: '/engine.io/?EIO=4&transport=websocket',
    welcomes: ['0'],
    answers: [],
    message: (text) => `4${text}`,
  },
  'socket.io': {
    path: '/socket.io/?EIO=4&transport=websocket',
    welcomes: ['0', '40'],
    answers: ['40'],
    message: (text) => `42${JSON.stringify([ECHO_EVENT, text])}`,
  },
} satisfies Record<string, Session>;

/** The name of a protocol. */
export type SessionName = keyof typeof SESSIONS;

/**
 * Opens a session.
 *
 * @param first - The bytes that came with the HTTP response.
 */
export async function openSession(socket: Socket, name: SessionName, first: Buffer): Promise<void> {
  const { welcomes, answers }: Session = SESSIONS[name];
  let rest = first;
  for (const [i, welcome] of welcomes.entries()) {
    while (rest.length < 2 || rest.length < 2 + rest[1]!) {
      rest = Buffer.concat([rest, await nextChunk(socket)]);
    }
    const end = 2 + rest[1]!;
    const text = rest.toString('latin1', 2, end);
    if (rest[0] !== TEXT || rest[1]! > 125 || !text.startsWith(welcome)) {
      throw new Error(`${name} sent ${text} instead of ${welcome}`);
    }
    rest = rest.subarray(end);
    const answer = answers[i];
    if (answer !== undefined) socket.write(maskedFrame(TEXT, Buffer.from(answer), MASK_KEY));
  }
  if (rest.length > 0) throw new Error(`${name} sent more than its welcome`);
}

function nextChunk(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const onClose = (): void => reject(new Error('the server closed the connection'));
    socket.once('close', onClose);
    socket.once('data', (chunk: Buffer) => {
      socket.removeListener('close', onClose);
      resolve(chunk);
    });
  });
}
