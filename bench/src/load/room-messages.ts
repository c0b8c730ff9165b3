import { maskedFrame } from './corpus.ts';
import { makePayloads, serverFrame } from './echo-corpus.ts';
import { type Pieces, piecesOf } from './pieces.ts';

/** Number of different messages of a room, which are repeated in order. */
const ROOM_MESSAGES = 61;

/** The event of a message in socket.io. */
export const MESSAGE_EVENT = 'm';
/** The event of socket.io that requests messages to the room. */
export const REQUEST_EVENT = 'publish';

const TEXT = 0x81;
const BINARY = 0x82;
const MASK_KEY = 0x5ca1ab1e;

/** The messages of a room, random bytes. */
export function roomPayloads(size: number): Buffer[] {
  return makePayloads({ content: 'binary', sizes: [size], count: ROOM_MESSAGES });
}

/** The messages of a room in socket.io: ASCII text, because it sends bytes as two frames. */
export function roomTexts(size: number): string[] {
  return makePayloads({ content: 'ascii', sizes: [size], count: ROOM_MESSAGES }).map(String);
}

/** What a member sends and receives. */
export interface RoomProtocol {
  readonly path: string;
  /** The frame that a member sends after the HTTP handshake. Default: none. */
  readonly hello?: Buffer;
  /** The number of text frames with which the server answers `hello`. */
  readonly welcomes: number;
  /** The beginning of the last of these. */
  readonly welcome: string;
  /** The frames of the messages to the room. */
  frames(size: number): Pieces;
  /** The frame that requests `count` messages to the room. */
  request(count: number): Buffer;
}

/** A server without a protocol of its own. */
const plain: RoomProtocol = {
  path: '/',
  welcomes: 0,
  welcome: '',
  frames: (size) => piecesOf(roomPayloads(size).map((payload) => serverFrame(BINARY, payload))),
  request: (count) => text(`${count}`),
};

/**
 * The protocols of the servers.
 *
 * @see https://socket.io/docs/v4/engine-io-protocol and .../socket-io-protocol: `0` opens, `40`
 *   joins the main namespace, `42` is an event.
 */
export const PROTOCOLS = {
  plain,
  'socket.io': {
    path: '/socket.io/?EIO=4&transport=websocket',
    hello: text('40'),
    welcomes: 2,
    welcome: '40',
    frames: (size) =>
      piecesOf(
        roomTexts(size).map((message) =>
          serverFrame(TEXT, Buffer.from(`42${JSON.stringify([MESSAGE_EVENT, message])}`)),
        ),
      ),
    request: (count) => text(`42${JSON.stringify([REQUEST_EVENT, count])}`),
  },
} satisfies Record<string, RoomProtocol>;

/** The name of a protocol. */
export type ProtocolName = keyof typeof PROTOCOLS;

function text(content: string): Buffer {
  return maskedFrame(TEXT, Buffer.from(content), MASK_KEY);
}
