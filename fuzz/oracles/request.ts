import { isUtf8 } from 'node:buffer';
import { isIPv6 } from 'node:net';
import { elementsOf, hasListToken, isKey, subprotocolsOf } from './header-fields.ts';
import { CONTROLS, type Head, linesOf } from './http-head.ts';

// The rules for a request, in their order: the first broken rule decides the status.

/** The status of the response to an upgrade request. */
export function statusOf(head: Head): number {
  const lines = (name: string): string[] => linesOf(head, name);
  const list = (name: string): string => lines(name).join(',');
  // RFC 9112, section 3, allows a server to accept several spaces here, and Node does.
  const [method, target = '', version] = head.first.split(/ +/);
  const hosts = lines('host');
  const host = hosts[0] ?? '';
  const versions = lines('sec-websocket-version');
  const origins = lines('origin');
  const keys = lines('sec-websocket-key');
  const hasBody =
    lines('transfer-encoding').length > 0 ||
    lines('content-length').some((one) => !/^0+$/.test(one));
  if (version !== 'HTTP/1.1' || CONTROLS.test(target)) return 400;
  if (hosts.length !== 1 || authorityOf(host) === undefined) return 400;
  if (hasBody) return 400;
  if (!hasListToken(list('connection'), 'upgrade')) return 400;
  if (!hasListToken(list('upgrade'), 'websocket')) return 426;
  if (method !== 'GET') return 405;
  if (versions.length !== 1) return 400;
  if (versions[0] !== '13') return 426;
  if (!targetsThisHost(target, host) || !isText(target.split('?')[0]!)) return 400;
  if (origins.length > 1) return 400;
  if (origins.length === 1 && !isSameOrigin(origins[0]!, host)) return 403;
  if (keys.length !== 1 || !isKey(keys[0]!)) return 400;
  if (elementsOf(list('sec-websocket-extensions')) === undefined) return 400;
  return subprotocolsOf(list('sec-websocket-protocol')) === undefined ? 400 : 101;
}

interface Authority {
  readonly host: string;
  readonly port: string;
}

/** `host[:port]`. */
function authorityOf(text: string): Authority | undefined {
  const colon = text.startsWith('[') ? text.indexOf(':', text.indexOf(']')) : text.indexOf(':');
  const host = colon < 0 ? text : text.slice(0, colon);
  const port = colon < 0 ? '' : text.slice(colon + 1);
  if (!/^\d{0,5}$/.test(port) || Number(port) > 65_535) return undefined;
  if (host.startsWith('[')) {
    const address = host.slice(1, -1);
    if (!host.endsWith(']') || !/^[\da-f:.]+$/i.test(address) || !isIPv6(address)) return undefined;
    return { host: new URL(`ws://[${address}]`).hostname, port };
  }
  return /^(?:[\w\-.~!$&'()*+,;=]|%[\da-f]{2})+$/i.test(host)
    ? { host: host.toLowerCase(), port }
    : undefined;
}

function targetsThisHost(target: string, host: string): boolean {
  if (target.includes('#')) return false;
  if (target.startsWith('/')) return true;
  const [, authority] = /^(?:http|https|ws|wss):\/\/([^/?]*)/i.exec(target) ?? [];
  return authority !== undefined && authority.toLowerCase() === host.toLowerCase();
}

/** Whether percent-encoded bytes are UTF-8 without NUL (RFC 3986, section 2.1). */
function isText(encoded: string): boolean {
  if (/%(?![\da-f]{2})/i.test(encoded)) return false;
  const bytes = Buffer.from(
    encoded.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
  return isUtf8(bytes) && !bytes.includes(0);
}

/** Schemes with their default ports. Some apps send the URL of the server as their origin. */
const PORTS: ReadonlyMap<string, string> = new Map([
  ['http', '80'],
  ['ws', '80'],
  ['https', '443'],
  ['wss', '443'],
]);

function isSameOrigin(origin: string, host: string): boolean {
  const [, scheme, authority] = /^([a-z][a-z\d+.-]*):\/\/([^/?#]+)/i.exec(origin) ?? [];
  if (scheme === undefined || authority === undefined || /[\\,%]/.test(authority)) return false;
  const usual = PORTS.get(scheme.toLowerCase());
  if (usual === undefined) return false;
  const from = authorityOf(authority.slice(authority.lastIndexOf('@') + 1));
  const to = authorityOf(host);
  if (from === undefined || to === undefined) return false;
  const port = (place: Authority): string => String(place.port === '' ? usual : Number(place.port));
  return from.host === to.host && port(from) === port(to);
}
