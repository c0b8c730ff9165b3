import { type DeflateParameters, type Extension, ExtensionChain, type Role } from '@ws/codec';
import { DEFAULT_COMPRESSION } from '../deflate/settings.ts';
import { type Compression, type DeflateExtension, RSV1 } from '../platform/deflate-engine.ts';
import type { Platform } from '../platform/platform.ts';
import { kind } from '../validate.ts';

const METHODS = [
  'begin',
  'feed',
  'ready',
  'step',
  'keep',
  'endMessage',
  'destroy',
  'wants',
  'encode',
  'endOutput',
] as const satisfies readonly (keyof Extension)[];

/** All reserved bits (RFC 6455, section 5.2). */
const RSV = 0x70;

/**
 * Checks the extensions of a connection.
 *
 * @param deflate - Set where permessage-deflate is agreed, which uses RSV1.
 * @throws TypeError that names what is missing or shared.
 */
export function checkedExtensions(
  value: unknown,
  deflate: DeflateParameters | undefined,
): readonly Extension[] {
  if (!Array.isArray(value)) {
    throw new TypeError(`extensions: expected a string or an array, got ${kind(value)}`);
  }
  const extensions: Extension[] = [...value];
  let taken = deflate === undefined ? 0 : RSV1;
  for (const [i, extension] of extensions.entries()) {
    const name = `extensions[${i}]`;
    if (typeof extension !== 'object' || extension === null) {
      throw new TypeError(`${name}: expected an Extension, got ${kind(extension)}`);
    }
    const missing = METHODS.find((method) => typeof extension[method] !== 'function');
    if (missing !== undefined) throw new TypeError(`${name}: an Extension has a method ${missing}`);
    const { rsv } = extension;
    if (!Number.isInteger(rsv) || rsv === 0 || (rsv & RSV) !== rsv) {
      throw new TypeError(`${name}.rsv: expected a sum of 0x40, 0x20 and 0x10, got ${String(rsv)}`);
    }
    if ((rsv & taken) !== 0) {
      throw new TypeError(`${name}.rsv: another extension uses the same reserved bit`);
    }
    taken |= rsv;
  }
  return extensions;
}

/**
 * Returns permessage-deflate of a connection whose handshake has agreed on it.
 *
 * @throws TypeError when the platform has no engine.
 */
export function deflateExtension(
  agreed: DeflateParameters | undefined,
  compression: Compression | false,
  role: Role,
  platform: Platform,
): DeflateExtension | undefined {
  if (agreed === undefined) return undefined;
  const { deflate } = platform;
  // Engines of JavaScript may lack the member.
  if (typeof deflate?.extension !== 'function') {
    throw new TypeError(
      'deflate: the platform has no engine to compress with; leave the option out, or add pureDeflate of @ws/conn/pure-deflate to the platform',
    );
  }
  return deflate.extension(deflate, agreed, compression || DEFAULT_COMPRESSION, role, platform);
}

/** Returns the extensions as one; undefined when there are none. */
export function joined(
  deflate: Extension | undefined,
  custom: readonly Extension[],
): Extension | undefined {
  if (custom.length === 0) return deflate;
  const all = deflate === undefined ? custom : [deflate, ...custom];
  return all.length > 1 ? new ExtensionChain(all) : all[0];
}
