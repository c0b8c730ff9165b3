import type { RequestFacts } from '@ws/codec';
import { parseHostPort } from '@ws/codec/internal';
import { HandshakeError, quoted } from '../errors.ts';

const ENTRY = /^(\*\.)?([^*]*[^*:])$/;
/** Labels separated by single dots. No parser reads such a text as more than one name. */
const NAME = /^[^.,]+(?:\.[^.,]+)*$/;

/** Reads the host of `host[:port]`, without the dot of the root. */
function parseHostName(text: string): { readonly host: string; readonly port: string } | undefined {
  const named = parseHostPort(text);
  if (named === undefined) return undefined;
  const host = named.host.replace(/\.$/, '');
  return NAME.test(host) ? { host, port: named.port } : undefined;
}

/**
 * Reads one entry of `allowedHosts`: `example.org`, `127.0.0.1`, `[::1]`, or `*.example.org` for
 * every name below `example.org`, at any depth, but not for `example.org` itself.
 *
 * @throws TypeError that names an invalid entry.
 */
function parseEntry(entry: unknown): (host: string) => boolean {
  const [, wild, name = ''] = ENTRY.exec(String(entry)) ?? [];
  const named = parseHostName(name);
  const below = wild !== undefined;
  if (typeof entry !== 'string' || named?.port !== '' || (below && name.startsWith('['))) {
    const examples = 'example.org, *.example.org or [::1]';
    throw new TypeError(
      `allowedHosts: expected names without a port, such as ${examples}, got ${String(entry)}`,
    );
  }
  const suffix = `.${named.host}`;
  return below ? (host) => host.endsWith(suffix) : (host) => host === named.host;
}

/**
 * Decides by the `Host` header which names a server answers to. A page can make its own name
 * resolve to the server's address (DNS rebinding). Its origin then equals the requested host, and
 * only this list shows that the name is foreign.
 */
export class HostPolicy {
  readonly #allowed: readonly ((host: string) => boolean)[] | undefined;

  /** The entries of `allowedHosts`, for messages. */
  readonly #listed: string;

  /**
   * @param allowed - Undefined allows every name.
   * @throws TypeError for an entry that is not a host.
   */
  constructor(allowed: readonly string[] | undefined) {
    this.#allowed = allowed?.map(parseEntry);
    this.#listed = allowed?.join(', ') || 'no names';
  }

  /** Returns the refusal of a request that {@link allows} has not allowed. */
  refusal(headers: RequestFacts): HandshakeError {
    const reason = `host ${quoted(headers.list('host'))} is not allowed`;
    const message = `${reason}: allowedHosts has ${this.#listed}; add it there`;
    return new HandshakeError(421, message, { body: `${reason}\n` });
  }

  /** Compares the host only; ports are ignored. */
  allows(headers: RequestFacts): boolean {
    return this.#allowed === undefined || allowsHost(this.#allowed, headers.list('host'));
  }
}

function allowsHost(allowed: readonly ((host: string) => boolean)[], text: string): boolean {
  const named = parseHostName(text);
  return named !== undefined && allowed.some((matches) => matches(named.host));
}
