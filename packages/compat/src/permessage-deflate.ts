import type { ZlibOptions } from 'node:zlib';
import { DEFAULT_COMPRESSION, ProtocolError } from '@ws/codec';
import { lengthOf } from '@ws/codec/internal';
import { extensionRuntime } from '@ws/conn/internal';
import {
  type Compressor,
  PerMessageDeflate as DeflateExtension,
  StreamCompressor,
} from '@ws/deflate/internal';
import { nodeDeflate } from '@ws/node-io';
import { bytesOf, copyOf, join } from './bytes.ts';
import { invalidDeflate, outOfMemory, tooLong } from './errors.ts';
import type { ExtensionParameters } from './extension.ts';
import { platform } from './platform.ts';

/** Options of permessage-deflate (RFC 7692). */
export interface PerMessageDeflateOptions {
  /** `false` declines the parameter, `true` requests or confirms it. */
  serverNoContextTakeover?: boolean | undefined;
  clientNoContextTakeover?: boolean | undefined;
  /** 8 to 15; `false` declines the parameter. */
  serverMaxWindowBits?: number | boolean | undefined;
  /** 8 to 15; `true` offers it without a value. */
  clientMaxWindowBits?: number | boolean | undefined;
  /** Of these, `level` is used. */
  zlibDeflateOptions?: ZlibOptions | undefined;
  /** Not used: the inflaters of all connections are shared. */
  zlibInflateOptions?: ZlibOptions | undefined;
  /** Without context takeover, messages of fewer bytes are not compressed. Default: 1024. */
  threshold?: number | undefined;
  /** Not used: a message is compressed in the turn of its `send`. */
  concurrencyLimit?: number | undefined;
  isServer?: boolean | undefined;
  /** Most plain bytes of a message; 0 for no limit. */
  maxPayload?: number | undefined;
}

export type DeflateParameters = Record<string, number | true>;

export const EXTENSION = 'permessage-deflate';

/** The negotiated extensions by name. */
export type ActiveExtensions = Readonly<Record<string, PerMessageDeflate>>;

/** One object for all connections without an extension: it saves 56 bytes of each. */
export const NO_EXTENSIONS: ActiveExtensions = /* @__PURE__ */ Object.freeze({});

const SERVER_BITS = 'server_max_window_bits';
const CLIENT_BITS = 'client_max_window_bits';
const SERVER_ALONE = 'server_no_context_takeover';
const CLIENT_ALONE = 'client_no_context_takeover';
/** zlib's default, which ws uses. */
const DEFAULT_LEVEL = -1;
const MAX_BITS = 15;

const CLOSED_EARLY = 'The deflate stream was closed while data was being processed';

type Callback = (error: Error | null, data?: Buffer) => void;

/**
 * permessage-deflate (RFC 7692): the negotiation, and the engines of one connection.
 *
 * The option `perMessageDeflate` of a {@link WebSocketServer} creates it.
 */
export class PerMessageDeflate {
  /** The agreed parameters, after {@link accept}. */
  params: DeflateParameters | null = null;
  /** Most plain bytes of a message; 0 for no limit. Programs look at it, as with ws. */
  readonly _maxPayload: number;
  readonly #options: PerMessageDeflateOptions;
  readonly #isServer: boolean;
  #extension: DeflateExtension | undefined;
  /** The message that {@link compress} is in the middle of. */
  #stream: StreamCompressor | undefined;
  /** Plain bytes of the message that {@link decompress} is in the middle of. */
  #inflated: number | undefined;
  /** Work that {@link cleanup} cancels. */
  readonly #pending = new Map<NodeJS.Immediate, Callback | undefined>();

  constructor(options?: PerMessageDeflateOptions) {
    this.#options = withoutTakeover(options ?? {});
    this.#isServer = Boolean(this.#options.isServer);
    this._maxPayload = limitOf(this.#options.maxPayload);
  }

  static get extensionName(): string {
    return EXTENSION;
  }

  /** Size in bytes below which messages are not compressed without context takeover. */
  get threshold(): number {
    const { threshold = 1024 } = this.#options;
    return threshold;
  }

  /** The parameters of a client's offer. */
  offer(): DeflateParameters {
    const { serverMaxWindowBits, clientMaxWindowBits } = this.#options;
    const params = this.#requireAlone({});
    if (serverMaxWindowBits) params[SERVER_BITS] = serverMaxWindowBits;
    if (clientMaxWindowBits) params[CLIENT_BITS] = clientMaxWindowBits;
    else if (clientMaxWindowBits == null) params[CLIENT_BITS] = true;
    return params;
  }

  /**
   * Accepts an offer as a server, or the server's answer as a client.
   *
   * @param configurations - The elements of the header, of which a server takes the first that
   *   fits.
   * @throws Error or TypeError that names the parameter.
   */
  accept(configurations: readonly ExtensionParameters[]): DeflateParameters {
    const known = configurations.map((params) => normalize(params, this.#isServer));
    this.params = this.#isServer ? this.#acceptOffer(known) : this.#acceptAnswer(known[0]!);
    return this.params;
  }

  /** Releases all memory. */
  cleanup(): void {
    this.#stream?.release();
    this.#stream = undefined;
    this.#extension?.compressor.forget();
    this.#extension?.destroy();
    this.#extension = undefined;
    for (const [immediate, callback] of this.#pending) {
      clearImmediate(immediate);
      callback?.(new Error(CLOSED_EARLY));
    }
    this.#pending.clear();
  }

  /** Whether this end compresses each message separately. */
  get sendsAlone(): boolean {
    return this.#isAlone(this.#isServer);
  }

  get compressor(): Compressor {
    return this.extension.compressor;
  }

  /** Both directions of the connection. */
  get extension(): DeflateExtension {
    this.#extension ??= this.#create();
    return this.#extension;
  }

  #create(): DeflateExtension {
    const parameters = {
      serverNoContextTakeover: this.#isAlone(true),
      clientNoContextTakeover: this.#isAlone(false),
      serverMaxWindowBits: this.#bits(true),
      clientMaxWindowBits: this.#bits(false),
    };
    const level = this.#options.zlibDeflateOptions?.level ?? DEFAULT_LEVEL;
    const compression = { ...DEFAULT_COMPRESSION, mode: 'takeover', level, threshold: 0 } as const;
    const role = this.#isServer ? 'server' : 'client';
    const runtime = extensionRuntime(platform);
    return new DeflateExtension(nodeDeflate, parameters, compression, role, runtime);
  }

  /**
   * Starts a message that is sent in several frames. Undefined when too many messages are sent so:
   * the message is sent uncompressed.
   */
  stream(): StreamCompressor | undefined {
    const { compressor } = this;
    const engine = compressor.engines.deflaters.acquireForStream(compressor.key);
    return engine === undefined ? undefined : new StreamCompressor(compressor, engine);
  }

  /**
   * Compresses a message, or a fragment of one, and calls `callback` in a later turn.
   *
   * @param fin - Whether the message ends.
   */
  compress(data: Buffer | string, fin: boolean, callback: Callback): void {
    const bytes = bytesOf(data);
    this.#later(callback, true, () => {
      const stream = (this.#stream ??= this.stream());
      if (stream === undefined) throw new Error('too many messages are compressed in fragments');
      const size = stream.fragment(bytes, 0, lengthOf(bytes), fin);
      const output = copyOf(stream.output, 0, size);
      if (fin) {
        this.#stream = undefined;
        stream.release();
      }
      return output;
    });
  }

  /** As {@link compress}, for the other direction. */
  decompress(data: Buffer, fin: boolean, callback: Callback): void {
    const bytes = bytesOf(data);
    this.#later(callback, false, () => {
      const { extension } = this;
      if (this.#inflated === undefined) extension.begin();
      this.#inflated ??= 0;
      extension.feed(bytes, 0, lengthOf(bytes), fin);
      const parts: Buffer[] = [];
      do {
        const part = this.#step(extension, this.#inflated);
        this.#inflated += part.length;
        parts.push(part);
      } while (extension.more);
      if (fin) {
        this.#inflated = undefined;
        extension.endMessage();
      }
      return join(parts);
    });
  }

  /** Inflates the next part of a message, of which `before` bytes are inflated. */
  #step(extension: DeflateExtension, before: number): Buffer {
    const { output } = this.compressor.engines;
    const left = (this._maxPayload || Infinity) - before;
    let size: number;
    try {
      size = extension.step(output, left);
    } catch (error) {
      throw error instanceof ProtocolError ? invalidDeflate() : outOfMemory(error as Error);
    }
    if (size > left) throw tooLong();
    return copyOf(output, 0, size);
  }

  /** Whether the server, or else the client, compresses each message separately. */
  #isAlone(isServer: boolean): boolean {
    return this.params?.[isServer ? SERVER_ALONE : CLIENT_ALONE] === true;
  }

  #bits(isServer: boolean): number {
    const bits = this.params?.[isServer ? SERVER_BITS : CLIENT_BITS];
    return typeof bits === 'number' ? bits : MAX_BITS;
  }

  /**
   * Does `work` in a later turn, and calls `callback` with what it returns or throws.
   *
   * @param reports - Whether `callback` gets an error when {@link cleanup} comes first.
   */
  #later(callback: Callback, reports: boolean, work: () => Buffer): void {
    const immediate = setImmediate(() => {
      this.#pending.delete(immediate);
      let output: Buffer;
      try {
        output = work();
      } catch (error) {
        return callback(error as Error);
      }
      callback(null, output);
    });
    this.#pending.set(immediate, reports ? callback : undefined);
  }

  #acceptOffer(offers: readonly DeflateParameters[]): DeflateParameters {
    const { serverMaxWindowBits, clientMaxWindowBits } = this.#options;
    const accepted = offers.find((offer) => this.#fits(offer));
    if (accepted === undefined) throw new Error('None of the extension offers can be accepted');
    this.#requireAlone(accepted);
    if (typeof serverMaxWindowBits === 'number') accepted[SERVER_BITS] = serverMaxWindowBits;
    if (typeof clientMaxWindowBits === 'number') accepted[CLIENT_BITS] = clientMaxWindowBits;
    else if (accepted[CLIENT_BITS] === true || clientMaxWindowBits === false) {
      delete accepted[CLIENT_BITS];
    }
    return accepted;
  }

  /** Adds the parameters by which the options disable context takeover. */
  #requireAlone(params: DeflateParameters): DeflateParameters {
    const { serverNoContextTakeover, clientNoContextTakeover } = this.#options;
    if (serverNoContextTakeover) params[SERVER_ALONE] = true;
    if (clientNoContextTakeover) params[CLIENT_ALONE] = true;
    return params;
  }

  #fits(offer: DeflateParameters): boolean {
    const { serverNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits } = this.#options;
    const { [SERVER_BITS]: serverBits, [CLIENT_BITS]: clientBits } = offer;
    if (serverNoContextTakeover === false && offer[SERVER_ALONE]) return false;
    // `true` is less than any number of bits, `false` is more.
    const least = serverMaxWindowBits === false ? Infinity : Number(serverMaxWindowBits);
    if ((serverBits as number) < least) return false;
    if (typeof clientMaxWindowBits !== 'number') return true;
    return clientBits === true || (clientBits !== undefined && clientBits >= clientMaxWindowBits);
  }

  #acceptAnswer(answer: DeflateParameters): DeflateParameters {
    const { serverNoContextTakeover, clientNoContextTakeover, clientMaxWindowBits } = this.#options;
    if (nodeDeflate.inflates === 'messages' && serverNoContextTakeover && !answer[SERVER_ALONE]) {
      throw new Error(`Missing parameter "${SERVER_ALONE}"`);
    }
    if (clientNoContextTakeover === false && answer[CLIENT_ALONE]) {
      throw new Error(`Unexpected parameter "${CLIENT_ALONE}"`);
    }
    const bits = answer[CLIENT_BITS] as number | undefined;
    if (bits === undefined) {
      if (typeof clientMaxWindowBits === 'number') answer[CLIENT_BITS] = clientMaxWindowBits;
      return answer;
    }
    const tooMany = typeof clientMaxWindowBits === 'number' && bits > clientMaxWindowBits;
    if (clientMaxWindowBits === false || tooMany) {
      throw new Error(`Unexpected or invalid parameter "${CLIENT_BITS}"`);
    }
    return answer;
  }
}

/**
 * Whether a connection may compress: without the handles of zlib, a message is inflated at once, so
 * it needs a limit.
 */
export function mayCompress(maxPayload: number | undefined): boolean {
  const { inflates } = nodeDeflate;
  return inflates === 'pieces' || (inflates === 'messages' && limitOf(maxPayload) > 0);
}

/** Without the handles of zlib, no message refers to earlier ones. */
function withoutTakeover(options: PerMessageDeflateOptions): PerMessageDeflateOptions {
  if (nodeDeflate.inflates !== 'messages') return options;
  return { ...options, serverNoContextTakeover: true, clientNoContextTakeover: true };
}

/** Limits become 32-bit integers, as in ws; 0 is no limit. */
export function limitOf(limit: number | undefined): number {
  return Math.max(0, (limit ?? 0) | 0);
}

/** Checks the parameters of one element of the header. They are replaced in place, as in ws. */
function normalize(given: ExtensionParameters, isServer: boolean): DeflateParameters {
  const params = given as unknown as DeflateParameters;
  for (const [key, values] of Object.entries(given)) {
    if (values.length > 1) throw new Error(`Parameter "${key}" must have only a single value`);
    params[key] = normalizeValue(key, values[0]!, isServer);
  }
  return params;
}

function normalizeValue(key: string, value: string | true, isServer: boolean): number | true {
  const isFlag = key === SERVER_ALONE || key === CLIENT_ALONE;
  if (!isFlag && key !== SERVER_BITS && key !== CLIENT_BITS) {
    throw new Error(`Unknown parameter "${key}"`);
  }
  // Only a client may leave the bits to the other end.
  const mayBeEmpty = isFlag || (isServer && key === CLIENT_BITS);
  if (mayBeEmpty && value === true) return true;
  const bits = Number(value);
  if (isFlag || !Number.isInteger(bits) || bits < 8 || bits > MAX_BITS) {
    throw new TypeError(`Invalid value for parameter "${key}": ${value}`);
  }
  return bits;
}
