interface Defaults {
  allowSynchronousEvents: boolean;
  autoPong: boolean;
  closeTimeout: number;
  maxBufferedChunks: number;
  maxFragments: number;
  maxPayload: number;
  maxPendingAutoPongs: number;
  skipUTF8Validation: boolean;
}

/** The defaults of ws that clients and servers share. Times are in ms, sizes in bytes. */
export const DEFAULTS: Defaults = {
  allowSynchronousEvents: true,
  autoPong: true,
  closeTimeout: 30_000,
  maxBufferedChunks: 256 * 1024,
  maxFragments: 16 * 1024,
  maxPayload: 100 * 1024 * 1024,
  maxPendingAutoPongs: 60,
  skipUTF8Validation: false,
};
