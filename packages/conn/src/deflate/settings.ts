/** How messages are compressed: permessage-deflate (RFC 7692). */
export interface CompressionOptions {
  /**
   * `'shared'`: each message is compressed for itself, and an idle connection holds nothing for it. `'takeover'`:
   * messages refer back to earlier ones and get smaller, for the memory of a window each. Default: `'shared'`.
   */
  readonly mode?: 'shared' | 'takeover' | undefined;
  /** -2 (Huffman only), -1 (zlib's default), 0 to 9. Default: 1; higher ones cost much time for few bytes. */
  readonly level?: number | undefined;
  /** Messages of fewer bytes are sent as they are. Default: 256. */
  readonly threshold?: number | undefined;
  /** How far back the server's messages may refer, 2 to this power bytes: 8 to 15. Default: 15. */
  readonly serverMaxWindowBits?: number | undefined;
  /** The same of the client's. Default: 15; 12 on a server in mode `'takeover'`, which holds a window for each. */
  readonly clientMaxWindowBits?: number | undefined;
  /** In mode `'takeover'`: bytes of what was sent that are kept, to begin a fresh compressor with. Default: 0. */
  readonly sendHistory?: number | undefined;
  /** In mode `'takeover'`: how many compressors of 270 KiB the process keeps for those who send often. Default: 16. */
  readonly takeoverEngines?: number | undefined;
  /** Messages of more bytes are compressed on another thread; `false`: none. Default: 32 KiB. */
  readonly asyncDeflateThreshold?: number | false | undefined;
}

/** {@link CompressionOptions} with every default filled in; `Infinity` stands for no bound. */
export interface Compression {
  /** Whether messages refer back to earlier ones. */
  readonly mode: 'shared' | 'takeover';
  /** -2 to 9. */
  readonly level: number;
  /** Bytes: shorter messages are sent as they are. */
  readonly threshold: number;
  /** 8 to 15; undefined where nothing was said. */
  readonly serverMaxWindowBits: number | undefined;
  /** 8 to 15; undefined where nothing was said. */
  readonly clientMaxWindowBits: number | undefined;
  /** Bytes of what was sent that are kept. */
  readonly sendHistory: number;
  /** Compressors that the process keeps for those who send often. */
  readonly takeoverEngines: number;
  /** Bytes: longer messages are compressed on another thread. */
  readonly asyncDeflateThreshold: number;
}

/** How messages are compressed where nobody says otherwise. */
export const SHARED: Compression = {
  mode: 'shared',
  level: 1,
  threshold: 256,
  serverMaxWindowBits: undefined,
  clientMaxWindowBits: undefined,
  sendHistory: 0,
  takeoverEngines: 16,
  asyncDeflateThreshold: 32 * 1024,
};
