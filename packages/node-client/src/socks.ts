import { Duplex } from 'node:stream';
import { TransportError } from '@ws/conn';
import type { Bounds } from './bounds.ts';
import { checkOpen, type Guard } from './guard.ts';
import type { Proxy } from './proxy.ts';
import type { DialAddress } from './url.ts';

/** What the library asks the proxy for: a way to authenticate, then perhaps to take the password, then the connection. */
type Question = 'ways' | 'password' | 'connection';

const VERSION = 5;
const PASSWORD_VERSION = 1;
const NO_WAY = 0xff;
/** The greatest that setTimeout takes, in milliseconds: 24 days. */
const MAX_TIMER = 2 ** 31 - 1;

/** RFC 1928, section 6, the replies from 1 on. */
const REFUSALS = [
  'general SOCKS server failure',
  'connection not allowed by ruleset',
  'network unreachable',
  'host unreachable',
  'connection refused',
  'TTL expired',
  'command not supported',
  'address type not supported',
];

/**
 * Asks a SOCKS 5 proxy for a connection to `address`; a name is looked up by the proxy. When it grants one, the stream is
 * that connection from then on, and what came behind the answer is the first that is read from it.
 *
 * @throws TransportError that says what the proxy refused or got wrong, or the reason of `bounds`.
 * @see RFC 1928; RFC 1929 for user and password
 */
export async function socksTunnel(
  line: Guard,
  proxy: Proxy,
  address: DialAddress,
  bounds: Bounds,
): Promise<void> {
  const { host, port } = address;
  const { credentials } = proxy;
  checkOpen(line.stream);
  if (Buffer.byteLength(host) > 255) {
    throw new TransportError('a SOCKS proxy takes no host name of more than 255 bytes');
  }
  const { SocksClient } = await bounds.race(import('socks'));
  const talk = new Talk(line, proxy, address);
  try {
    const granted = SocksClient.createConnection({
      command: 'connect',
      destination: { host, port },
      proxy: {
        type: VERSION,
        host: proxy.address.host,
        port: proxy.address.port,
        ...(credentials && { userId: credentials.user, password: credentials.password }),
      },
      existing_socket: talk,
      // Its timer cannot be cleared. It keeps no process alive, and what it holds is what is given here: the
      // credentials, not the stream. Begun later than that of the bounds and as long, it never comes first.
      timeout: Math.min(bounds.timeout, MAX_TIMER),
    }).then(
      // Of an address of unknown type it makes none.
      ({ remoteHost }) => talk.check(remoteHost !== undefined),
      // Its error holds the credentials, so it goes no further.
      () => talk.check(false),
    );
    talk.listen();
    await bounds.race(Promise.race([talk.broken, granted]));
  } finally {
    talk.destroy();
  }
}

/**
 * The socket that the library gets, between it and the stream. It lets through what the library asks, and the answers
 * byte by byte, so that the library cannot take what comes behind them; it sees to what the library overlooks, and has
 * the words for what was wrong.
 */
class Talk extends Duplex {
  /** Rejects when the stream is over, or an answer is wrong that the library takes. */
  readonly broken: Promise<never>;
  #break!: (error: TransportError) => void;
  #line: Guard | undefined;
  readonly #proxy: Proxy;
  readonly #address: DialAddress;
  #question: Question = 'ways';
  /** The answer to it, as far as it came. */
  #answer: number[] = [];

  constructor(line: Guard, proxy: Proxy, address: DialAddress) {
    super();
    this.#line = line;
    this.#proxy = proxy;
    this.#address = address;
    this.broken = new Promise((_, reject) => {
      this.#break = reject;
    });
  }

  /** Begins to read; the library has asked its first question. */
  listen(): void {
    const { stream } = this.#line!;
    stream.on('readable', this.#onReadable);
    stream.on('end', this.#onClose);
    stream.on('close', this.#onClose);
    if (stream.destroyed) this.#onClose();
    else this.#onReadable();
  }

  /** @throws TransportError that says what is wrong with the last answer, unless it `holds`. */
  check(holds: boolean): void {
    if (!holds) throw this.#fault();
  }

  override _read(): void {
    // What comes is emitted below, when it comes.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const question =
      chunk[0] === PASSWORD_VERSION ? 'password' : this.#answer.length > 0 ? 'connection' : 'ways';
    if (this.#overlooked(question)) {
      this.#break(this.#fault());
    } else {
      this.#question = question;
      this.#answer = [];
      this.#say(chunk);
    }
    done();
  }

  override _destroy(_error: Error | null, done: () => void): void {
    const stream = this.#line?.stream;
    stream?.off('readable', this.#onReadable);
    stream?.off('end', this.#onClose);
    stream?.off('close', this.#onClose);
    // The library's timer holds this object, and shall not hold the connection.
    this.#line = undefined;
    done();
  }

  #say(chunk: Buffer): void {
    try {
      this.#line?.stream.write(chunk);
    } catch (error) {
      // Of a stream of the caller's. What is thrown into the library ends the process.
      this.#break(this.#broke(error));
    }
    // Later: only behind this call the library notes what it waits for.
    process.nextTick(this.#onReadable);
  }

  /** Whether the library goes on to `question` behind an answer that it should not have taken. */
  #overlooked(question: Question): boolean {
    // It gives an empty user and password to who asks for one, though it has none and offered none.
    if (question === 'password') return this.#proxy.credentials === undefined;
    return this.#question === 'password' && this.#answer[0] !== PASSWORD_VERSION;
  }

  /** Whether the library waits for a byte. While it thinks about an answer, one more would be its end. */
  get #waits(): boolean {
    const answered = this.#question !== 'connection' && this.#answer.length === 2;
    return !answered && this.listenerCount('data') > 0;
  }

  readonly #onReadable = (): void => {
    while (this.#line !== undefined && this.#waits) {
      const byte = this.#line.stream.read(1) as Buffer | null;
      if (byte === null) return;
      this.#answer.push(byte[0]!);
      // Not pushed: when this returns, the library has acted on it.
      this.emit('data', byte);
    }
  };

  readonly #onClose = (): void => {
    this.#break(this.#broke(this.#line?.error ?? this.#line?.stream.errored ?? undefined));
  };

  #broke(cause: unknown): TransportError {
    const message = `the connection broke before the proxy ${String(this.#proxy.address)} answered`;
    return new TransportError(message, { cause });
  }

  #fault(): TransportError {
    return new TransportError(`the SOCKS proxy ${String(this.#proxy.address)} ${this.#wrong()}`);
  }

  #wrong(): string {
    const [version, value = 0] = this.#answer;
    if (this.#question === 'ways') {
      if (version !== VERSION) return 'is no SOCKS 5 proxy';
      if (value !== NO_WAY) return 'chose a way to authenticate that was not offered';
      return this.#proxy.credentials === undefined
        ? 'wants a user and a password'
        : 'takes no user and password';
    }
    if (this.#question === 'password') {
      if (version === PASSWORD_VERSION) return 'refused the user and password';
      return 'answered the user and password with no such answer';
    }
    if (version !== VERSION) return 'answered the request with no such answer';
    if (value === 0) return 'answered with an address of unknown type';
    const why = REFUSALS[value - 1] ?? 'for a reason without a name';
    return `refused ${String(this.#address)}: ${why} (reply ${value})`;
  }
}
