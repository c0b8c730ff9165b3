import type { Transport } from './transport.ts';
import { kind } from './validate.ts';

const METHODS: readonly (keyof Transport)[] = [
  'start',
  'write',
  'pause',
  'resume',
  'end',
  'destroy',
];

/**
 * Checks the first argument of `new Conn`.
 *
 * @throws TypeError that says how to make a transport of a socket or of streams.
 */
export function checkTransport(transport: unknown): void {
  const given = Object(transport) as Partial<Record<string, unknown>>;
  // No closure: each connection comes here.
  for (let i = 0; i < METHODS.length; i++) {
    const name = METHODS[i]!;
    if (typeof given[name] === 'function') continue;
    throw new TypeError(
      `new Conn: expected a Transport, got ${className(transport)}; ${cureFor(given, name)}`,
    );
  }
}

/** For example `Socket`: most objects of Node have no tag of their own. */
function className(value: unknown): string {
  const tag = kind(value);
  const { name } = Object(value).constructor ?? {};
  return tag === 'Object' && typeof name === 'string' && name !== '' ? name : tag;
}

function cureFor(given: Partial<Record<string, unknown>>, missing: string): string {
  if (typeof given['pipe'] === 'function' && typeof given['write'] === 'function') {
    return 'after a handshake, socketTransport(socket) of @ws/node-io makes one of a socket; serve and dial do both, and Dialer.handshake for an open stream';
  }
  if (given['readable'] !== undefined && given['writable'] !== undefined) {
    return 'streamTransport({ readable, writable }) makes one of two streams';
  }
  if (typeof given['send'] === 'function') {
    return 'a WebSocket does the work of a Conn itself: dial of @ws/browser opens one';
  }
  return `it has no method ${missing}`;
}
