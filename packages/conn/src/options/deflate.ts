import {
  type Compression,
  DEFAULT_COMPRESSION,
  type DeflateExtension,
  type DeflateLimits,
  type DeflateParameters,
  type ExtensionRuntime,
  type Role,
} from '@ws/codec';
import { asyncContexts } from '../platform/async-contexts.ts';
import { type Platform, perPlatform } from '../platform/platform.ts';
import { reportError } from '../report/report.ts';
import { schedulerOf } from '../scheduler/scheduler.ts';
import type { Settings } from './conn-options.ts';

/** The settings for which {@link decline} has already reported an error. */
const declined = /* @__PURE__ */ new WeakSet<Settings>();

/**
 * Returns the limits of one end for permessage-deflate, for `offerDeflate` and `negotiateDeflate`.
 *
 * @returns Undefined when compression is off, or when the platform cannot compress or cannot inflate
 *   within `readLimit`. Reports the second case once.
 */
export function deflateLimits(
  settings: Settings,
  role: Role,
  platform: Platform,
): DeflateLimits | undefined {
  const { compression } = settings.writing;
  if (compression === false) return undefined;
  const { deflate } = platform;
  const limits =
    deflate === undefined
      ? 'the platform has no working engines'
      : deflate.limits(compression, role, settings.readLimit);
  return typeof limits === 'string' ? decline(settings, platform, limits) : limits;
}

function decline(settings: Settings, platform: Platform, why: string): undefined {
  if (declined.has(settings)) return;
  declined.add(settings);
  const error = new Error(`compression is not offered: ${why}`);
  reportError(settings.report, platform, error, { where: 'compression' });
}

/**
 * Creates the extension permessage-deflate of a connection, if its handshake has agreed on it.
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
  // Plain JavaScript may pass an object without this method.
  if (typeof deflate?.extension !== 'function') {
    throw new TypeError(
      'deflate: the platform has no engine to compress with; leave the option out, or pass a platform with deflate',
    );
  }
  const runtime = extensionRuntime(platform);
  return deflate.extension(agreed, compression || DEFAULT_COMPRESSION, role, runtime);
}

/** Returns the services of a platform for extensions. Platforms with the same base share them. */
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
