import type { OptionalPackage } from '../harness/optional-package.ts';

/** The servers. `bench/README.md` says what each one does. */
export const CONTENDERS = [
  'receive',
  'loop',
  'one key',
  'own key',
  'serveRaw',
  'ws',
  'ws, native mask',
  'ws, corked',
  'compat',
  'bun',
  'rpc',
  'by hand',
  'socket.io',
  'mini',
  'raw1',
  'bare',
] as const;

export type ContenderName = (typeof CONTENDERS)[number];

/** The contender that most ratios are relative to: `ws` as a careful application uses it. */
export const BASE = 'ws, corked';

/** The name of {@link BASE} in a report, where bufferutil is missing. */
export const SLOW_BASE = `${BASE}, JS masks`;

/** `ws` with bufferutil, for work that no corking changes. */
export const NATIVE = 'ws, native mask';

/** Suffix of a contender of ours that runs in the checkout of `--against`. */
export const BEFORE = ' before';

/** Whether this is our library, with any handler. */
export function isOurs(name: string): boolean {
  return /^(?:receive|one key|own key|loop|serveRaw|ours|hub|broadcast|compat|rpc|by hand)/.test(
    name,
  );
}

/** Whether this is `ws`, in any configuration. */
export function isWs(name: string): boolean {
  return name.startsWith('ws');
}

/** The package that a contender is, where ws-bench does not depend on it. */
export function packageOf(contender: string): OptionalPackage | undefined {
  const names = ['socket.io', 'httpxy', 'http-proxy-3'] as const;
  return names.find((name) => contender === name || contender.startsWith(`${name}, `));
}

/** The server of a contender without its options: `ws` for `ws, level 6`. */
export function serverOf(name: string): ContenderName {
  return name.replace(/, level.*$/, '') as ContenderName;
}

/** Thresholds of glibc, in bytes: the largest that mallopt(3) allows. Older versions ignore more. */
const KEPT = String(32 * 1024 * 1024);
/** Bytes of a message from which new memory costs more than the message. */
const LARGE = 16 * 1024;

/**
 * Whether the processes of a contest keep freed memory. By default glibc returns the memory of a large
 * message to the system or not, by chance: a contender is then up to ten times as slow in one process
 * as in another.
 */
export function keepsMemory(sizes: readonly number[]): boolean {
  return Math.max(...sizes) >= LARGE;
}

/**
 * The environment of a contender: `ws` as installed has no native functions for masks.
 *
 * @param kept - See {@link keepsMemory}.
 */
export function environmentOf(name: string, kept: boolean): Record<string, string> {
  return {
    WS_NO_BUFFER_UTIL: serverOf(name) === 'ws' ? '1' : '',
    ...(kept && {
      MALLOC_TRIM_THRESHOLD_: KEPT,
      MALLOC_MMAP_THRESHOLD_: KEPT,
    }),
  };
}

/**
 * Flags for Node. The memory of large messages counts towards V8's next full collection: a process
 * makes one every 250 messages, or hardly any, by chance. With this start of its old generation it
 * makes hardly any.
 *
 * @param kept - See {@link keepsMemory}.
 */
export function flagsOf(kept: boolean): readonly string[] {
  return kept ? ['--initial-old-space-size=256'] : [];
}
