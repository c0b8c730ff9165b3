import type {
  Compression,
  DeflateExtension,
  DeflateParameters,
  Extension,
  ExtensionRuntime,
  Role,
} from '@ws/codec';
import { asyncContexts } from '../platform/async-contexts.ts';
import { type Platform, perPlatform } from '../platform/platform.ts';
import { schedulerOf } from '../scheduler/scheduler.ts';
import { kind } from '../validate.ts';
import { DEFAULT_COMPRESSION } from './compression.ts';

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
 * Checks the extension of a connection.
 *
 * @param deflate - Set where permessage-deflate is agreed: a connection has one extension.
 * @throws TypeError that names what is wrong or missing.
 */
export function checkedExtension(
  value: unknown,
  deflate: DeflateParameters | undefined,
): Extension | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(`extension: expected an Extension, got ${kind(value)}`);
  }
  const extension = value as Extension;
  const missing = METHODS.find((method) => typeof extension[method] !== 'function');
  if (missing !== undefined) throw new TypeError(`extension: an Extension has a method ${missing}`);
  const { rsv } = extension;
  if (!Number.isInteger(rsv) || rsv === 0 || (rsv & RSV) !== rsv) {
    throw new TypeError(`extension.rsv: expected a sum of 0x40, 0x20 and 0x10, got ${String(rsv)}`);
  }
  if (deflate !== undefined) {
    throw new TypeError('extension: a connection has one extension; leave deflate out');
  }
  return extension;
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
      'deflate: the platform has no engine to compress with; leave the option out, or pass a platform with deflate',
    );
  }
  const runtime = extensionRuntime(platform);
  return deflate.extension(agreed, compression || DEFAULT_COMPRESSION, role, runtime);
}

/** The services of a platform, the same object for all connections of its base. */
export function extensionRuntime(platform: Platform): ExtensionRuntime {
  return runtimeOf(platform.base ?? platform);
}

const runtimeOf = /* @__PURE__ */ perPlatform(
  (platform): ExtensionRuntime => ({
    now: () => platform.now(),
    yield: (callback) => platform.yield(callback),
    fireLater: (entry, ms) => schedulerOf(platform).timers.setUnlessSet(entry, ms),
    inOwnContext: (call) => asyncContexts.inOwnContext(call),
  }),
);
