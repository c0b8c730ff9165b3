import type { ClientRequest, RequestOptions } from 'node:http';
import type { ConnectionOptions } from 'node:tls';
import { DEFAULTS } from './defaults.ts';
import type { PerMessageDeflateOptions } from './permessage-deflate.ts';

/** Options of a client, with all options of `http.request` and `tls.connect`. */
export interface ClientOptions
  extends Omit<RequestOptions, 'headers' | 'protocol'>,
    Omit<
      ConnectionOptions,
      | 'host'
      | 'path'
      | 'port'
      | 'timeout'
      | 'lookup'
      | 'hints'
      | 'localAddress'
      | 'localPort'
      | 'family'
      | 'signal'
    > {
  /** Whether several messages may be emitted in one tick. Default: true. */
  allowSynchronousEvents?: boolean | undefined;
  /** Whether pings are answered. Default: true. */
  autoPong?: boolean | undefined;
  /** Time in ms that the closing handshake may take. Default: 30 s. */
  closeTimeout?: number | undefined;
  /** May change the request, and then calls its `end()`. */
  finishRequest?: ((request: ClientRequest, websocket: never) => void) | undefined;
  /** Whether redirects are followed. Default: false. */
  followRedirects?: boolean | undefined;
  /** Fills its argument, four bytes, with the masking key of a frame. */
  generateMask?: ((mask: Buffer) => void) | undefined;
  /** Time in ms that the request may take. Default: no limit. */
  handshakeTimeout?: number | undefined;
  headers?: Record<string, string | string[] | undefined> | undefined;
  /** Default: 262,144. */
  maxBufferedChunks?: number | undefined;
  /** Default: 16,384. */
  maxFragments?: number | undefined;
  /** Most bytes of a message. Default: 100 MiB. */
  maxPayload?: number | undefined;
  /** Default: 60. */
  maxPendingAutoPongs?: number | undefined;
  /** Default: 10. */
  maxRedirects?: number | undefined;
  /** The header `Origin`. */
  origin?: string | undefined;
  /** Default: true. */
  perMessageDeflate?: boolean | PerMessageDeflateOptions | undefined;
  /** Subprotocols, unless they are an argument of the constructor. */
  protocols?: string | string[] | undefined;
  /** 13, the default, or 8. */
  protocolVersion?: number | undefined;
  /** Default: false. */
  skipUTF8Validation?: boolean | undefined;
}

export function withDefaults(given: ClientOptions): ClientOptions {
  return {
    ...DEFAULTS,
    protocolVersion: 13,
    perMessageDeflate: true,
    followRedirects: false,
    maxRedirects: 10,
    ...given,
  };
}
