import type { RequestHeaders } from './headers.ts';
import { parsePlace } from './origin.ts';

const ENTRY = /^(\*\.)?([^*]*[^*:])$/;
/** Labels with a dot between them, as no parser takes them for more than one name. */
const NAME = /^[^.,]+(?:\.[^.,]+)*$/;

/** The host of `host[:port]`; the dot of the root does not count. */
function hostOf(text: string): { readonly host: string; readonly port: string } | undefined {
  const place = parsePlace(text, '');
  if (place === undefined) return undefined;
  const host = place.host.replace(/\.$/, '');
  return NAME.test(host) ? { host, port: place.port } : undefined;
}

/**
 * One entry of `allowedHosts`: `example.org`, `127.0.0.1`, `[::1]`, or `*.example.org` for every name below, however deep,
 * though not `example.org` itself.
 *
 * @throws TypeError that names the entry when it is none of them.
 */
function parseEntry(entry: unknown): (host: string) => boolean {
  const [, wild, name = ''] = ENTRY.exec(String(entry)) ?? [];
  const place = hostOf(name);
  const below = wild !== undefined;
  if (typeof entry !== 'string' || place?.port !== '' || (below && name.startsWith('['))) {
    const examples = 'example.org, *.example.org or [::1]';
    throw new TypeError(
      `allowedHosts: expected names without a port, such as ${examples}, got ${String(entry)}`,
    );
  }
  const suffix = `.${place.host}`;
  return below ? (host) => host.endsWith(suffix) : (host) => host === place.host;
}

/**
 * Which names a server answers to, judged by the `Host` header. A page can make its own name point to the server's
 * address; its origin names the host that it asks for then, and only the list knows that it is not ours.
 */
export class HostPolicy {
  readonly #allowed: readonly ((host: string) => boolean)[] | undefined;

  /**
   * @param allowed - Undefined: any name.
   * @throws TypeError for an entry that is no host.
   */
  constructor(allowed: readonly string[] | undefined) {
    this.#allowed = allowed?.map(parseEntry);
  }

  /** Ports do not count. */
  allows(headers: RequestHeaders): boolean {
    if (this.#allowed === undefined) return true;
    const place = hostOf(headers.list('host'));
    return place !== undefined && this.#allowed.some((matches) => matches(place.host));
  }
}
