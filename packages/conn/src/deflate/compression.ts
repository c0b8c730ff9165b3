import type { DeflateLimits, DeflateParameters, Role } from '@ws/codec';
import type { Host } from '../host.ts';
import type { Compression } from './compression-options.ts';
import { Deflation } from './deflation.ts';
import { enginesOf } from './engines.ts';
import { Inflation } from './inflation.ts';
import type { PlainBuffers } from './plain-buffers.ts';

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
