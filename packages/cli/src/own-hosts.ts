import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { Values } from './options.ts';

/** The hosts of a server that listens on this machine only. */
export const LOOPBACK: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];

/** The body of a 421. */
export const OTHER_NAME =
  'use the address of this server; wsx --user or --origin admits other names';

/** @param host - An address or a name to listen on. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.includes(host.includes(':') ? `[${host}]` : host);
}

/**
 * Which hosts a page may name. Any other name may be that of a foreign page, whose owner has made it
 * lead to this address (DNS rebinding). A login, or `--origin '*'`, admits them all.
 *
 * @returns A test of a host without its port.
 */
export function ownHosts(host: string, { user, origin }: Values): (name: string) => boolean {
  if (isLoopback(host)) return (name) => LOOPBACK.includes(name);
  if (user !== undefined || origin === '*') return () => true;
  const machine = hostname();
  const [label = ''] = machine.split('.', 1);
  const names = ['localhost', host, machine, label, `${label}.local`];
  const own = names.map((name) => name.toLowerCase());
  return (name) => own.includes(name.toLowerCase()) || isIP(name.replace(/^\[|\]$/g, '')) > 0;
}

/** The host that a request names, without its port. */
export function hostOf(headers: IncomingHttpHeaders): string {
  const text = (headers[':authority'] ?? headers.host ?? '') as string;
  return text.replace(/:\d*$/, '');
}
