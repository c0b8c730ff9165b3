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
  'raw',
  'bare',
] as const;

export type ContenderName = (typeof CONTENDERS)[number];

/** The contender that all ratios are relative to. */
export const BASE = 'ws, native mask';

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

/** The server of a contender without its options: `ws` for `ws, level 6`. */
export function serverOf(name: string): ContenderName {
  return name.replace(/, level.*$/, '') as ContenderName;
}

/** The environment of a contender: `ws` as installed has no native functions for masks. */
export function environmentOf(name: string): Record<string, string> {
  return { WS_NO_BUFFER_UTIL: serverOf(name) === 'ws' ? '1' : '' };
}
