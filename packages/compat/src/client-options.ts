import type { ClientRequest, RequestOptions } from 'node:http';
import type { ConnectionOptions } from 'node:tls';
import type { PerMessageDeflateOptions } from './permessage-deflate.ts';
import { DEFAULTS, type SharedOptions } from './shared-options.ts';

/** Options of a client, with all options of `http.request` and `tls.connect`. */
export interface ClientOptions
  extends SharedOptions,
    Omit<RequestOptions, 'headers' | 'protocol'>,
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
  /** May change the request, and then calls its `end()`. */
  finishRequest?: ((request: ClientRequest, websocket: never) => void) | undefined;
  /** Whether redirects are followed. Default: false. */
  followRedirects?: boolean | undefined;
  /** Fills its argument, four bytes, with the masking key of a frame. */
  generateMask?: ((mask: Buffer) => void) | undefined;
  /** Time in ms that the request may take. Default: no limit. */
  handshakeTimeout?: number | undefined;
  headers?: Record<string, string | string[] | undefined> | undefined;
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
