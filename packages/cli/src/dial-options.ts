import { readFileSync } from 'node:fs';
import type { DialerOptions, DialOptions } from '@ws/node-client';
import { inputOutput, usage } from './failure.ts';
import { milliseconds, type OptionName, sizeOf, type Values } from './options.ts';

/** Payload bytes of a fragment. */
const FRAGMENT = 64 * 1024;
const HEARTBEAT = 20_000;

/** Settings of every connection. */
export function connSettings(values: Values) {
  const { max, compress } = values;
  const ping = milliseconds('ping', values.ping) ?? HEARTBEAT;
  return {
    // Messages are streamed, so their length costs no memory.
    readLimit: max === undefined ? (false as const) : sizeOf('max', max),
    heartbeat: ping === 0 ? (false as const) : { interval: ping, timeout: HEARTBEAT },
    // A slow reader of stdout is no reason to end the connection.
    idleReadTimeout: false as const,
    writeBufferSize: FRAGMENT,
    compression: compress === true,
    // The command prints these errors itself.
    report: () => {},
  };
}

/**
 * The options of a dial.
 *
 * @throws Failure, exit code 2 or 8, for a value that is malformed, or a file that cannot be read.
 */
export function dialOptions(values: Values): DialerOptions & Pick<DialOptions, 'headers'> {
  const { subprotocol, proxy, http2 } = values;
  return {
    ...connSettings(values),
    headers: headersOf(values),
    ...(subprotocol !== undefined && { subprotocols: subprotocol }),
    ...(proxy !== undefined && { proxy: proxyOf(proxy) }),
    ...(http2 === true && { http2: 'only' }),
    tls: tlsOf(values),
  };
}

function headersOf({ header = [], origin, user }: Values): [string, string][] {
  const headers = header.map(pairOf);
  if (origin !== undefined) headers.push(['Origin', origin]);
  if (user !== undefined) headers.push(['Authorization', basicOf(user)]);
  return headers;
}

/** @throws Failure, exit code 2, for a text without a colon. */
export function pairOf(text: string): [string, string] {
  const colon = text.indexOf(':');
  if (colon > 0) return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
  // The text may be a secret.
  throw usage("--header: expected 'NAME: VALUE', got no colon after a name");
}

/** @throws Failure, exit code 2, for a text without a colon. */
export function basicOf(user: string): string {
  if (!user.includes(':')) throw usage('--user: expected NAME:PASSWORD');
  return `Basic ${Buffer.from(user).toString('base64')}`;
}

function proxyOf(text: string): false | URL {
  if (text === 'none') return false;
  const url = /^[a-z\d]+:\/\//i.test(text) ? text : `http://${text}`;
  if (URL.canParse(url)) return new URL(url);
  // The text may have a password.
  throw usage('--proxy: expected a URL, such as http://host:3128, or none');
}

function tlsOf(values: Values): NonNullable<DialerOptions['tls']> {
  const { cacert, insecure } = values;
  return {
    ...(cacert !== undefined && { ca: fileOf('cacert', cacert) }),
    ...(insecure === true && { rejectUnauthorized: false }),
    ...certificateOf(values),
  };
}

/** The own certificate, of a client or a server. One file may have both parts. */
export function certificateOf({ cert, key }: Values): { cert?: Buffer; key?: Buffer } {
  if (cert === undefined) {
    if (key !== undefined) throw usage('--key needs --cert');
    return {};
  }
  const own = fileOf('cert', cert);
  if (key !== undefined) return { cert: own, key: fileOf('key', key) };
  if (own.includes('PRIVATE KEY')) return { cert: own, key: own };
  throw usage(`--cert: ${cert} has no private key`, '--key FILE names the file that has it');
}

/** @throws Failure, exit code 8. */
export function fileOf(option: OptionName, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw inputOutput(`--${option}: ${path}`, error);
  }
}
