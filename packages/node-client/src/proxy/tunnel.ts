import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { TransportError } from '@ws/conn';
import { ipv6Groups } from '@ws/node-io/internal';
import type { DialScope } from '../dial-scope.ts';
import { BadHandshakeError, dialError } from '../errors.ts';
import { isSuccess } from '../exchange.ts';
import { checkOpen, type GuardedStream } from '../guarded-stream.ts';
import { headerLine } from '../request.ts';
import { askForResponse, describeStatus } from '../response.ts';
import type { DialAddress } from '../url.ts';
import type { Proxy } from './proxy.ts';

/**
 * Asks a proxy for a connection to `address`. After that the stream is the connection.
 *
 * @throws BadHandshakeError when the proxy refuses; TransportError when the stream ends; the reason
 *   of `scope`.
 */
export function openTunnel(
  guarded: GuardedStream,
  proxy: Proxy,
  address: DialAddress,
  scope: DialScope,
): Promise<void> {
  return proxy.protocol === 'socks5'
    ? socksTunnel(guarded, proxy, address, scope)
    : connectTunnel(guarded.stream, proxy, address, scope);
}

/**
 * Asks an HTTP proxy for a tunnel to `address`. After that the stream is the tunnel: bytes that
 * follow the response are the first to be read from it.
 *
 * Credentials are sent when the proxy's URL has a user or a password. An empty password is sent
 * too: some proxies take a key as the user.
 *
 * @throws BadHandshakeError when the proxy refuses (with its status, headers and the first bytes of
 *   its body), or when its response is not HTTP or is too large; TransportError when the stream
 *   ends.
 * @see RFC 9110, section 9.3.6
 */
async function connectTunnel(
  stream: Duplex,
  proxy: Proxy,
  address: DialAddress,
  scope: DialScope,
): Promise<void> {
  const path = address.toString();
  const lines = `Host: ${path}\r\n${authorization(proxy)}Connection: close\r\n`;
  const text = `CONNECT ${path} HTTP/1.1\r\n${lines}\r\n`;
  const response = await askForResponse(stream, text, proxy.secure, scope);
  if (isSuccess(response.status)) return;
  const message = `the proxy ${String(proxy.address)} answered ${describeStatus(response.status)}, not 2xx`;
  throw new BadHandshakeError(message, response);
}

/** RFC 7617, section 2. */
function authorization({ credentials }: Proxy): string {
  if (credentials === undefined) return '';
  const { user, password } = credentials;
  const encoded = Buffer.from(`${user}:${password}`).toString('base64');
  return headerLine('Proxy-Authorization', `Basic ${encoded}`);
}

// SOCKS 5 is three requests and three short replies. Libraries cost more than they save: they leave
// a timer of 30 s for each connection, and emit early bytes as an event without a listener.

const VERSION = 5;
const NO_AUTHENTICATION = 0;
const USER_AND_PASSWORD = 2;
const NO_ACCEPTABLE_METHOD = 0xff;
const CONNECT = 1;
const IPV4 = 1;
const DOMAIN_NAME = 3;
const IPV6 = 4;

// SOCKS has no HTTP statuses. A refusal gets the status that an HTTP proxy would send, because
// callers use the status to decide whether to retry.
const PROXY_AUTH_REQUIRED = 407;
const FORBIDDEN = 403;
const BAD_GATEWAY = 502;

/** The replies 1 to 8 (RFC 1928, section 6). */
const REFUSALS: readonly (readonly [why: string, status: number])[] = [
  ['general SOCKS server failure', BAD_GATEWAY],
  ['connection not allowed by ruleset', FORBIDDEN],
  ['network unreachable', BAD_GATEWAY],
  ['host unreachable', BAD_GATEWAY],
  ['connection refused', BAD_GATEWAY],
  ['TTL expired', BAD_GATEWAY],
  ['command not supported', FORBIDDEN],
  ['address type not supported', FORBIDDEN],
];

/**
 * Asks a SOCKS 5 proxy for a connection to `address`; the proxy resolves a name. After that the
 * stream is the connection: bytes that follow the reply are the first to be read from it.
 *
 * @throws BadHandshakeError when the proxy refuses: status 407 for credentials, 403 for a request
 *   that it does not allow or support, 502 when it could not connect, 0 when it does not speak
 *   SOCKS 5; TransportError when the stream ends; the reason of `scope`.
 * @see RFC 1928; RFC 1929 for user and password
 */
async function socksTunnel(
  guarded: GuardedStream,
  proxy: Proxy,
  address: DialAddress,
  scope: DialScope,
): Promise<void> {
  const { credentials } = proxy;
  checkOpen(guarded.stream);
  // Made before anything is sent, because it may throw.
  const request = Buffer.of(VERSION, CONNECT, 0, ...addressBytes(address), ...u16(address.port));
  const dialog = new SocksDialog(guarded, proxy, scope);

  const methods =
    credentials === undefined ? [NO_AUTHENTICATION] : [NO_AUTHENTICATION, USER_AND_PASSWORD];
  dialog.send(Buffer.of(VERSION, methods.length, ...methods));
  const [version, way = NO_ACCEPTABLE_METHOD] = await dialog.read(2);
  dialog.assert(version === VERSION, 'is not a SOCKS 5 proxy');
  dialog.assert(
    way !== NO_ACCEPTABLE_METHOD,
    credentials === undefined ? 'requires a user and a password' : 'accepts no user and password',
    PROXY_AUTH_REQUIRED,
  );
  dialog.assert(
    methods.includes(way),
    'chose a way to authenticate that was not offered',
    PROXY_AUTH_REQUIRED,
  );

  if (way === USER_AND_PASSWORD) {
    const { user, password } = credentials!;
    dialog.send(Buffer.of(1, ...lengthPrefixed(user), ...lengthPrefixed(password)));
    const [authVersion, status] = await dialog.read(2);
    dialog.assert(authVersion === 1, 'sent a malformed reply to the user and password');
    dialog.assert(status === 0, 'refused the user and password', PROXY_AUTH_REQUIRED);
  }

  dialog.send(request);
  const [replyVersion, reply = 0, , type] = await dialog.read(4);
  dialog.assert(replyVersion === VERSION, 'sent a malformed reply to the request');
  if (reply !== 0) {
    const [why, status] = REFUSALS[reply - 1] ?? ['for an unknown reason', BAD_GATEWAY];
    throw dialog.refusal(`refused ${String(address)}: ${why} (reply ${reply})`, status);
  }
  // The address that the proxy connects from. It is unused, but precedes the server's first byte.
  if (type === IPV4) await dialog.read(4 + 2);
  else if (type === IPV6) await dialog.read(16 + 2);
  else {
    dialog.assert(type === DOMAIN_NAME, 'answered with an address of unknown type');
    const [length = 0] = await dialog.read(1);
    await dialog.read(length + 2);
  }
}

/**
 * The client side of the exchange. It reads exactly the bytes that it asks for; the rest stays in
 * the stream.
 */
class SocksDialog {
  readonly #guarded: GuardedStream;
  readonly #stream: Duplex;
  readonly #proxy: Proxy;
  readonly #scope: DialScope;

  constructor(guarded: GuardedStream, proxy: Proxy, scope: DialScope) {
    this.#guarded = guarded;
    this.#stream = guarded.stream;
    this.#proxy = proxy;
    this.#scope = scope;
  }

  send(bytes: Buffer): void {
    this.#stream.write(bytes);
  }

  /**
   * @throws TransportError when the stream ends before `size` bytes; the reason of the scope when
   *   that ends.
   */
  async read(size: number): Promise<Buffer> {
    const stream = this.#stream;
    let onReadable!: () => void;
    let onClose!: () => void;
    const bytes = new Promise<Buffer>((resolve, reject) => {
      onClose = () => {
        const message = `the connection broke before the proxy ${String(this.#proxy.address)} answered`;
        reject(dialError(message, this.#guarded.error));
      };
      onReadable = () => {
        const bytes = stream.read(size) as Buffer | null;
        if (bytes === null) return;
        // Removed synchronously: another event before the wait ends would take bytes of the next
        // reply.
        stream.off('readable', onReadable);
        // At the end of the stream `read` returns fewer bytes.
        if (bytes.length === size) resolve(bytes);
        else onClose();
      };
    });
    stream.on('readable', onReadable);
    stream.on('end', onClose);
    stream.on('close', onClose);
    stream.on('error', onClose);
    onReadable();
    try {
      return await this.#scope.race(bytes);
    } finally {
      stream.off('readable', onReadable);
      stream.off('end', onClose);
      stream.off('close', onClose);
      stream.off('error', onClose);
    }
  }

  assert(holds: boolean, otherwise: string, status = 0): void {
    if (!holds) throw this.refusal(otherwise, status);
  }

  refusal(what: string, status: number): BadHandshakeError {
    const message = `the SOCKS proxy ${String(this.#proxy.address)} ${what}`;
    return new BadHandshakeError(message, { status, headers: {}, body: Buffer.alloc(0) });
  }
}

function addressBytes({ host }: DialAddress): number[] {
  const version = isIP(host);
  if (version === 4) return [IPV4, ...host.split('.').map(Number)];
  if (version === 6) return [IPV6, ...ipv6Groups(host).flatMap(u16)];
  if (Buffer.byteLength(host) > 255) {
    throw new TransportError('a SOCKS proxy accepts no host name of more than 255 bytes');
  }
  return [DOMAIN_NAME, ...lengthPrefixed(host)];
}

function lengthPrefixed(text: string): number[] {
  const bytes = Buffer.from(text);
  return [bytes.length, ...bytes];
}

function u16(value: number): number[] {
  return [value >> 8, value & 0xff];
}
