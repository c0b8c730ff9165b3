import type { Socket } from 'node:net';
import { maskedFrame } from './corpus.ts';

/** The event of a message in socket.io. */
export const ECHO_EVENT = 'e';
/** The event of a message that is acknowledged. */
export const ASK_EVENT = 'say';

const TEXT = 0x81;
const MASK_KEY = 0x5ca1ab1e;

/** A protocol over the messages of a connection. */
export interface Session {
  readonly path: string;
  /** The beginnings of the text messages of the server, each after our answer to the one before. */
  readonly welcomes: readonly string[];
  /** Our answers to all of them but the last. */
  readonly answers: readonly string[];
  /** The message with a text, the one of this number in the corpus. */
  message(text: string, number: number): string;
  /** The answer. Default: the message itself. */
  reply?(text: string, number: number): string;
}

/**
 * The protocols.
 *
 * @see https://socket.io/docs/v4/engine-io-protocol and .../socket-io-protocol: `0` opens, `4` is a
 *   message, `40` joins the main namespace, `42` is an event. An event with a number asks for the
 *   acknowledgement `43` with that number. https://www.jsonrpc.org/specification
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
  'socket.io acks': {
    path: '/socket.io/?EIO=4&transport=websocket',
    welcomes: ['0', '40'],
    answers: ['40'],
    message: (text, number) => `42${number}${JSON.stringify([ASK_EVENT, { text }])}`,
    reply: (text, number) => `43${number}${JSON.stringify([{ text }])}`,
  },
  'JSON-RPC': {
    path: '/',
    welcomes: [],
    answers: [],
    message: (text, id) => JSON.stringify({ jsonrpc: '2.0', id, method: 'say', params: { text } }),
    reply: (text, id) => JSON.stringify({ jsonrpc: '2.0', id, result: { text } }),
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
