import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { TransportError } from '@ws/conn';
import type { Bounds } from './bounds.ts';
import { BadHandshakeError } from './errors.ts';
import { checkOpen, type Guard } from './guard.ts';
import type { Proxy } from './proxy.ts';
import type { DialAddress } from './url.ts';

// SOCKS 5 is three questions and three short answers. What libraries for it leave behind (a timer of half a minute for
// each connection, bytes that came early as an event nobody may hear) is more than what it takes.

const VERSION = 5;
const NO_AUTHENTICATION = 0;
const USER_AND_PASSWORD = 2;
const NO_WAY = 0xff;
const CONNECT = 1;
const IPV4 = 1;
const NAME = 3;
const IPV6 = 4;

// SOCKS has no statuses. A refusal has the one that an HTTP proxy would have given: whoever asks whether to try again asks
// that.
const LOGIN = 407;
const FORBIDDEN = 403;
const BAD_GATEWAY = 502;

/** RFC 1928, section 6, the replies from 1 on. */
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
 * Asks a SOCKS 5 proxy for a connection to `address`; a name is looked up by the proxy. When it grants one, the stream is
 * that connection from then on, and what came behind the answer is the first that is read from it.
 *
 * @throws BadHandshakeError when the proxy refuses: status 407 for who we are, 403 for what it never does, 502 when it could
 *   not connect, 0 when what it answers is not SOCKS 5; TransportError when the stream ends; or the reason of `bounds`.
 * @see RFC 1928; RFC 1929 for user and password
 */
export async function socksTunnel(
  line: Guard,
  proxy: Proxy,
  address: DialAddress,
  bounds: Bounds,
): Promise<void> {
  const { credentials } = proxy;
  checkOpen(line.stream);
  // Made before anything is sent, since it may fail.
  const request = Buffer.of(VERSION, CONNECT, 0, ...addressBytes(address), ...u16(address.port));
  const talk = new Talk(line, proxy, bounds);

  const ways =
    credentials === undefined ? [NO_AUTHENTICATION] : [NO_AUTHENTICATION, USER_AND_PASSWORD];
  talk.say(Buffer.of(VERSION, ways.length, ...ways));
  const [version, way = NO_WAY] = await talk.hear(2);
  talk.check(version === VERSION, 'is no SOCKS 5 proxy');
  talk.check(
    way !== NO_WAY,
    credentials === undefined ? 'wants a user and a password' : 'takes no user and password',
    LOGIN,
  );
  talk.check(ways.includes(way), 'chose a way to authenticate that was not offered', LOGIN);

  if (way === USER_AND_PASSWORD) {
    const { user, password } = credentials!;
    talk.say(Buffer.of(1, ...counted(user), ...counted(password)));
    const [authVersion, status] = await talk.hear(2);
    talk.check(authVersion === 1, 'answered the user and password with no such answer');
    talk.check(status === 0, 'refused the user and password', LOGIN);
  }

  talk.say(request);
  const [replyVersion, reply = 0, , type] = await talk.hear(4);
  talk.check(replyVersion === VERSION, 'answered the request with no such answer');
  if (reply !== 0) {
    const [why, status] = REFUSALS[reply - 1] ?? ['for a reason without a name', BAD_GATEWAY];
    throw talk.fault(`refused ${String(address)}: ${why} (reply ${reply})`, status);
  }
  // The address it connects from: of no use, but it stands before the server's first byte.
  if (type === IPV4) await talk.hear(4 + 2);
  else if (type === IPV6) await talk.hear(16 + 2);
  else {
    talk.check(type === NAME, 'answered with an address of unknown type');
    const [length = 0] = await talk.hear(1);
    await talk.hear(length + 2);
  }
}

/** One side of the conversation: what it reads is exactly what it asked for, the rest stays in the stream. */
class Talk {
  readonly #line: Guard;
  readonly #stream: Duplex;
  readonly #proxy: Proxy;
  readonly #bounds: Bounds;

  constructor(line: Guard, proxy: Proxy, bounds: Bounds) {
    this.#line = line;
    this.#stream = line.stream;
    this.#proxy = proxy;
    this.#bounds = bounds;
  }

  say(bytes: Buffer): void {
    this.#stream.write(bytes);
  }

  /** @throws TransportError when the stream ends before `size` bytes; the reason of the bounds when they end. */
  async hear(size: number): Promise<Buffer> {
    const stream = this.#stream;
    let onReadable!: () => void;
    let onClose!: () => void;
    const heard = new Promise<Buffer>((resolve, reject) => {
      onClose = () => {
        const message = `the connection broke before the proxy ${String(this.#proxy.address)} answered`;
        reject(new TransportError(message, { cause: this.#line.error }));
      };
      onReadable = () => {
        const bytes = stream.read(size) as Buffer | null;
        if (bytes === null) return;
        // At once: another event before the wait is over would take bytes of the next answer.
        stream.off('readable', onReadable);
        // At the end of the stream a read gives what there is.
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
      return await this.#bounds.race(heard);
    } finally {
      stream.off('readable', onReadable);
      stream.off('end', onClose);
      stream.off('close', onClose);
      stream.off('error', onClose);
    }
  }

  check(holds: boolean, otherwise: string, status = 0): void {
    if (!holds) throw this.fault(otherwise, status);
  }

  fault(what: string, status: number): BadHandshakeError {
    const message = `the SOCKS proxy ${String(this.#proxy.address)} ${what}`;
    return new BadHandshakeError(message, { status, headers: {}, body: Buffer.alloc(0) });
  }
}

function addressBytes({ host }: DialAddress): number[] {
  const version = isIP(host);
  if (version === 4) return [IPV4, ...host.split('.').map(Number)];
  if (version === 6) return [IPV6, ...ipv6Bytes(host)];
  if (Buffer.byteLength(host) > 255) {
    throw new TransportError('a SOCKS proxy takes no host name of more than 255 bytes');
  }
  return [NAME, ...counted(host)];
}

/** From the form that a URL has: hexadecimal groups, and at most one `::` for those that are 0. */
function ipv6Bytes(host: string): number[] {
  const [before = [], after = []] = host.split('::').map((part) => part.split(':').filter(Boolean));
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after].flatMap((group) => u16(Number.parseInt(group, 16)));
}

function counted(text: string): number[] {
  const bytes = Buffer.from(text);
  return [bytes.length, ...bytes];
}

function u16(value: number): number[] {
  return [value >> 8, value & 0xff];
}
