import type { RequestFacts } from '@ws/codec';

/** The fields of an opening handshake that a Worker does not send when it calls another one. */
const WIRE: Readonly<Record<string, string>> = {
  connection: 'Upgrade',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
};

const NO_URL = { host: '', pathname: '', search: '' };

/**
 * Describes a Request, for the codec's table of rules.
 *
 * @param wireIsChecked - The runtime checks requests itself, and also calls `fetch` without a wire.
 *   Such a call follows the rules of the wire, and its URL has the host.
 */
export function factsOf({ method, headers, url }: Request, wireIsChecked: boolean): RequestFacts {
  // Some runtimes build the URL from a malformed Host.
  const { host, pathname, search } = URL.canParse(url) ? new URL(url) : NO_URL;
  const isCall = wireIsChecked && !Object.keys(WIRE).some((name) => headers.has(name));
  const added: Readonly<Record<string, string>> = {
    ...(wireIsChecked && { host }),
    ...(isCall && WIRE),
  };
  const get = (name: string): string | undefined => headers.get(name) ?? added[name];
  // Headers joins the lines of a field so.
  const lines = (name: string): string[] => get(name)?.split(', ') ?? [];
  return {
    method,
    target: pathname + search,
    version: '1.1',
    remoteAddress: undefined,
    has: (name) => get(name) !== undefined,
    once: (name) => (lines(name).length === 1 ? get(name) : undefined),
    lines,
    list: (name) => get(name) ?? '',
  };
}
