import { BlockList, isIP } from 'node:net';
import { domainToASCII } from 'node:url';

/**
 * Says whether a NO_PROXY list names a server. Its entries stand between commas or spaces:
 *
 * - `*`: every server;
 * - `example.com`: that host and all below it; `.example.com` and `*.example.com`: only those below it;
 * - `10.1.2.3`, `::1`, `[::1]`: an IP address in any notation; `10.0.0.0/8`, `2001:db8::/32`: a network of addresses.
 *   Names are not looked up to see whether their address is in one;
 * - all of them but a network may end with a port, as in `example.com:8080`, and then stand for that port only.
 *
 * Letter case and the dot at a name's end make no difference. What is none of these matches nothing.
 *
 * @param host - As `URL.hostname` gives it, with or without the brackets of an IPv6 address.
 */
export function isExcluded(list: string, host: string, port: number): boolean {
  const name = plain(host);
  return list.split(/[\s,]+/).some((entry) => entry !== '' && matches(entry, name, port));
}

/** Whether a host is this machine by its name or address: `localhost`, names below it, 127.0.0.0/8, ::1. */
export function isLoopback(host: string): boolean {
  const name = plain(host);
  if (isIP(name) !== 0) return LOOPBACK.check(name, family(name));
  return name === 'localhost' || name.endsWith('.localhost');
}

const LOOPBACK = /* @__PURE__ */ loopback();

function loopback(): BlockList {
  const list = new BlockList();
  list.addSubnet('127.0.0.0', 8, 'ipv4');
  list.addAddress('::1', 'ipv6');
  return list;
}

function matches(entry: string, host: string, port: number): boolean {
  if (entry === '*') return true;
  // A zone, which no URL has.
  if (entry.includes('%')) return false;
  const slash = entry.indexOf('/');
  if (slash >= 0) return inNetwork(entry.slice(0, slash), entry.slice(slash + 1), host);
  // A bare IPv6 address is all colons, so only brackets set a port apart from it.
  const [, address = '', number] =
    isIP(entry) === 6 ? [entry, entry] : (HOST_PORT.exec(entry) ?? []);
  if (address === '' || (number !== undefined && Number(number) !== port)) return false;
  const named = plain(address);
  if (isIP(named) !== 0) return sameAddress(named, host);
  const suffix = /^(?:\*?\.)(.+)$/.exec(named)?.[1];
  // As it stands in a URL: `bücher.example` is `xn--bcher-kva.example`; '' when it is no name.
  const domain = domainToASCII(suffix ?? named);
  if (domain === '' || isIP(host) !== 0) return false;
  return host.endsWith(`.${domain}`) || (suffix === undefined && host === domain);
}

/** A name or an address in brackets, and perhaps a port. */
const HOST_PORT = /^(\[[^\]]*\]|[^:[\]]+)(?::(\d{1,5}))?$/;

function inNetwork(address: string, bits: string, host: string): boolean {
  const base = plain(address);
  if (isIP(host) === 0 || isIP(base) === 0 || !/^\d{1,3}$/.test(bits)) return false;
  if (Number(bits) > (isIP(base) === 4 ? 32 : 128)) return false;
  // Node finds every IPv4 address in a network of IPv6 that is wide enough to hold ::ffff:0:0/96.
  if (isIP(base) === 6 && isIP(host) === 4 && Number(bits) < 96) return false;
  const network = new BlockList();
  network.addSubnet(base, Number(bits), family(base));
  return network.check(host, family(host));
}

function sameAddress(one: string, other: string): boolean {
  if (isIP(other) === 0) return false;
  const list = new BlockList();
  list.addAddress(one, family(one));
  return list.check(other, family(other));
}

/** In lower case, without the brackets of an address and the dot at the end of a name. */
function plain(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}
