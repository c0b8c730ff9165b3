import type { DeflateLimits, DeflateParameters, Role } from '@ws/codec';
import type { Host } from '../host.ts';
import { Deflation } from './deflation.ts';
import { enginesOf } from './engines.ts';
import { Inflation } from './inflation.ts';
import type { PlainBuffers } from './plain-buffers.ts';

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
  readonly mode: 'shared' | 'takeover';
  readonly level: number;
  readonly threshold: number;
  readonly serverMaxWindowBits: number | undefined;
  readonly clientMaxWindowBits: number | undefined;
  readonly sendHistory: number;
  readonly takeoverEngines: number;
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

/** A server's window for what a client sends, when it has to keep one: 4 KiB, which is nearly as good as 32. */
const SERVER_RECEIVE_BITS = 12;

/**
 * What one end asks of permessage-deflate in the handshake, for `offerDeflate` and `negotiateDeflate`. Past the host's
 * memory budget nobody is to keep a window.
 *
 * @returns Undefined when it is not to be negotiated: switched off, or no engine to do it with.
 */
export function deflateLimits(
  compression: Compression | false,
  role: Role,
  host: Host,
): DeflateLimits | undefined {
  const { deflate } = host;
  if (compression === false || deflate === undefined) return undefined;
  const { mode, serverMaxWindowBits, clientMaxWindowBits } = compression;
  const alone = mode === 'shared' || enginesOf(deflate, host).overBudget;
  const receives = !alone && role === 'server' ? SERVER_RECEIVE_BITS : undefined;
  return {
    serverNoContextTakeover: alone,
    clientNoContextTakeover: alone,
    serverMaxWindowBits,
    clientMaxWindowBits: clientMaxWindowBits ?? receives,
  };
}

/**
 * What both ends agreed on, from one end's view.
 *
 * @throws TypeError when `host` has no engine.
 */
export class Deflating {
  readonly inflation: Inflation;
  readonly deflation: Deflation;
  readonly plains: PlainBuffers;

  constructor(parameters: DeflateParameters, compression: Compression, role: Role, host: Host) {
    const { deflate } = host;
    if (deflate === undefined) {
      throw new TypeError('deflate: the host has no engine to compress with; leave it out');
    }
    const engines = enginesOf(deflate, host);
    this.plains = engines.plains;
    const server = {
      takeover: !parameters.serverNoContextTakeover,
      bits: parameters.serverMaxWindowBits,
    };
    const client = {
      takeover: !parameters.clientNoContextTakeover,
      bits: parameters.clientMaxWindowBits,
    };
    const [ours, theirs] = role === 'server' ? [server, client] : [client, server];
    // A sender may always forget; a receiver has to remember what was not forbidden.
    const remembers = ours.takeover && compression.mode === 'takeover';
    this.deflation = new Deflation(engines, compression, remembers, ours.bits);
    this.inflation = new Inflation(engines, theirs.takeover, theirs.bits);
  }

  /** Bytes of memory that are held for what messages may refer back to. */
  get held(): number {
    return this.inflation.held + this.deflation.held;
  }
}
