// The forms of a Host header and of a request target. That the header occurs exactly once, the order of
// the checks and the words of their refusals are in the two tables of request-rules.ts.

// One character class and no alternatives inside the repetition: linear time.
const HOST_PORT = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+)(?::[0-9]{0,5})?$/;
/** RFC 3986, section 2.1: two digits follow a percent sign. */
const BAD_PERCENT = /%(?![0-9A-Fa-f]{2})/;
const GROUP = /^[0-9A-Fa-f]{1,4}$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const ABSOLUTE = /^(?:https?|wss?):\/\/([^/?#]*)/i;

/** Whether `text` is `host[:port]`, the form of a Host header (RFC 9110, section 7.2). */
export function isHost(text: string): boolean {
  // `exec` would create an array for each request.
  if (!HOST_PORT.test(text) || BAD_PERCENT.test(text)) return false;
  const bracket = text.lastIndexOf(']');
  const colon = text.indexOf(':', bracket + 1);
  if (colon !== -1 && Number(text.slice(colon + 1)) > 65_535) return false;
  return bracket === -1 || isIPv6(text.slice(1, bracket));
}

/** RFC 4291, section 2.2. */
function isIPv6(text: string): boolean {
  const [head = '', tail, ...more] = text.split('::');
  if (more.length > 0) return false;
  const before = countGroups(head, tail === undefined);
  if (tail === undefined) return before === 8;
  return before + countGroups(tail, true) <= 7;
}

/** Number of 16-bit groups in `text`; Infinity when one is malformed. */
function countGroups(text: string, mayEndInIPv4: boolean): number {
  if (text === '') return 0;
  const groups = text.split(':');
  const endsInIPv4 = mayEndInIPv4 && IPV4.test(groups.at(-1)!);
  if (endsInIPv4) groups.pop();
  return groups.every((group) => GROUP.test(group))
    ? groups.length + (endsInIPv4 ? 2 : 0)
    : Infinity;
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
