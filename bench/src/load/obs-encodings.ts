import { decode, encode } from '@msgpack/msgpack';

/** Turns values into messages and back, as the subprotocols of obs-websocket do. */
export interface ObsEncoding {
  readonly subprotocol: string;
  readonly encode: (value: unknown) => string | Uint8Array;
  /** @param message - Text for JSON, bytes for MessagePack. */
  readonly decode: (message: Uint8Array) => unknown;
}

/** The encodings that obs-websocket accepts, by the name in a contest. */
export const ENCODINGS: Readonly<Record<string, ObsEncoding>> = {
  json: {
    subprotocol: 'obswebsocket.json',
    encode: (value) => JSON.stringify(value),
    decode: (bytes) =>
      JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()),
  },
  msgpack: {
    subprotocol: 'obswebsocket.msgpack',
    encode: (value) => encode(value, { ignoreUndefined: true }),
    decode,
  },
};
