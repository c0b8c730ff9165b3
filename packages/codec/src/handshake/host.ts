// The forms of `host[:port]` and of a request target. That a Host header occurs exactly once, the order
// of the checks and the words of their refusals are in the two tables of request-rules.ts.

export type HostPort = {
  readonly host: string;
  /** `''` when no port is given and the scheme has no default. */
  readonly port: string;
};

export const DEFAULT_PORT: ReadonlyMap<string, string> = /* @__PURE__ */ new Map([
  ['http', '80'],
  ['https', '443'],
]);

// They have one character class and no alternatives inside the repetition, so they run in linear time.
const HOST_PORT = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+)(?::([0-9]{0,5}))?$/;
/** A name or an IPv4 address. A port of up to four digits is always in range. */
export const PLAIN_HOST: RegExp = /^[A-Za-z0-9.-]+(?::[0-9]{1,4})?$/;
/** RFC 3986, section 2.1: two digits follow a percent sign. */
const BAD_PERCENT = /%(?![0-9A-Fa-f]{2})/;
const ABSOLUTE = /^(?:https?|wss?):\/\/([^/?#]*)/i;

/**
 * Reads `host[:port]`, the form of a Host header (RFC 9110, section 7.2).
 *
 * @param scheme - The port defaults to the one of this scheme. Default: no scheme.
 */
export function parseHostPort(text: string, scheme = ''): HostPort | undefined {
  const [, host, port] = HOST_PORT.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535 || BAD_PERCENT.test(host)) return undefined;
  const name = host.startsWith('[') ? parseIPv6(host) : host.toLowerCase();
  if (name === undefined) return undefined;
  return { host: name, port: port ? String(Number(port)) : (DEFAULT_PORT.get(scheme) ?? '') };
}

/** The host that a request names: its `Host`, or the `:authority` of HTTP/2. */
export function hostOf(request: { list(name: string): string }): string {
  return request.list('host') || request.list(':authority');
}

/** Whether `text` is `host[:port]`. Most hosts are plain, and a check of them creates no object. */
export function isHost(text: string): boolean {
  return PLAIN_HOST.test(text) || parseHostPort(text) !== undefined;
}

/** Normalizes an IPv6 address in brackets, so that one address has one spelling. */
function parseIPv6(host: string): string | undefined {
  try {
    return new URL(`http://${host}`).hostname;
  } catch {
    return undefined;
  }
}

/**
 * Whether `target` is a path, or an absolute URI with the authority of the Host header (RFC 9112,
 * section 3.2), without a fragment.
 */
export function isRequestTarget(target: string, host: string): boolean {
  if (target.includes('#')) return false;
  if (target.startsWith('/')) return true;
  return ABSOLUTE.exec(target)?.[1]?.toLowerCase() === host.toLowerCase();
}

/**
 * Whether the path of `target` decodes to text: each percent sign begins a byte, the bytes are UTF-8,
 * and none is NUL. The query is not checked: a form's decoder reads any text.
 *
 * @see RFC 3986, sections 2.1 and 7.3
 */
export function isDecodable(target: string): boolean {
  if (!target.includes('%')) return true;
  const query = target.indexOf('?');
  try {
    return !decodeURIComponent(query === -1 ? target : target.slice(0, query)).includes('\0');
  } catch {
    return false;
  }
}
