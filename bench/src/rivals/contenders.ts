import type { OptionalPackage } from '../harness/optional-package.ts';

/** The servers. The README of this folder says what each one does. */
export const CONTENDERS = [
  'receive',
  'loop',
  'serveRaw',
  'ws',
  'ws, native mask',
  'ws, corked',
  'compat',
  'bun',
  'mini',
  'raw1',
  'bare',
] as const;

export type ContenderName = (typeof CONTENDERS)[number];

/** The contender that most ratios are relative to: `ws` as a careful application uses it. */
export const BASE = 'ws, corked';

/** `ws` with bufferutil, for work that no corking changes. */
export const NATIVE = 'ws, native mask';

/** Suffix of a contender of ours that runs in the checkout of `--against`. */
export const BEFORE = ' before';

/** Whether this is our library, with any handler. */
export function isOurs(name: string): boolean {
  return /^(?:receive|loop|serveRaw|ours|hub|broadcast|compat)/.test(name);
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

/** A contender in a process that keeps freed memory, so that new memory has no page faults. */
export const KEEPING = 'loop, memory kept';

/** The server of a contender without its options: `ws` for `ws, level 6`. */
export function serverOf(name: string): ContenderName {
  return name.replace(/, (?:level.*|memory kept)$/, '') as ContenderName;
}

/** Thresholds of glibc, in bytes. */
const KEPT = String(64 * 1024 * 1024);

/** The environment of a contender: `ws` as installed has no native functions for masks. */
export function environmentOf(name: string): Record<string, string> {
  return {
    WS_NO_BUFFER_UTIL: serverOf(name) === 'ws' ? '1' : '',
    ...(name.startsWith(KEEPING) && {
      MALLOC_TRIM_THRESHOLD_: KEPT,
      MALLOC_MMAP_THRESHOLD_: KEPT,
    }),
  };
}
