/** Options that clients, servers and receivers have. */
export interface SharedOptions {
  /** Whether several messages may be emitted in one tick. Default: true. */
  allowSynchronousEvents?: boolean | undefined;
  /** Whether pings are answered. Default: true. */
  autoPong?: boolean | undefined;
  /** Time in ms that the closing handshake may take. Default: 30 s. */
  closeTimeout?: number | undefined;
  /** Default: 262,144. */
  maxBufferedChunks?: number | undefined;
  /** Default: 16,384. */
  maxFragments?: number | undefined;
  /** Most bytes of a message. Default: 100 MiB. */
  maxPayload?: number | undefined;
  /** Default: 60. */
  maxPendingAutoPongs?: number | undefined;
  /** Default: false. */
  skipUTF8Validation?: boolean | undefined;
}

/** The defaults of ws. */
export const DEFAULTS: SharedOptions = {
  allowSynchronousEvents: true,
  autoPong: true,
  closeTimeout: 30_000,
  maxBufferedChunks: 256 * 1024,
  maxFragments: 16 * 1024,
  maxPayload: 100 * 1024 * 1024,
  maxPendingAutoPongs: 60,
  skipUTF8Validation: false,
};
