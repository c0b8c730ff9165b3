import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { internalsOf } from '@ws/conn/internal';
import {
  CloseCode,
  type CloseInfo,
  type Conn,
  Dialer,
  isCloseError,
  joinMessages,
} from '@ws/node-client';
import { serve } from '@ws/node-server';
import { dialOptions } from './dial-options.ts';
import {
  type EndPoint,
  listenAt,
  openStream,
  parseEndPoint,
  type StreamPoint,
} from './end-points.ts';
import { excerpt } from './escape.ts';
import { dialFailure, ExitCode, endFailure, Failure, inputOutput, usage } from './failure.ts';
import { aborted, drained, type Io, note } from './io.ts';
import { listenFailure, serverOptions } from './listen.ts';
import type { OptionName, Values } from './options.ts';

/** The longest time that a timer can wait: one direction may last long after the end of the other. */
const LONGEST = 2 ** 31 - 1;
/** The time for a peer to close its socket after both directions have ended, in ms. */
const LINGER = 5_000;
const KEEP_ALIVE = 30_000;
/** Options that a server does not use. */
const DIAL_ONLY = ['proxy', 'cacert', 'insecure'] as const satisfies OptionName[];

/** `wsx tunnel FROM TO`: FROM listens, and each of its connections dials TO. */
export async function tunnel(
  io: Io,
  [first = '', second = '']: readonly string[],
  values: Values,
): Promise<number> {
  const from = parseEndPoint(first);
  const to = parseEndPoint(second);
  if (from.kind === 'ws' && to.kind !== 'ws') return fromWebSockets(io, from.text, to, values);
  if (from.kind !== 'ws' && to.kind === 'ws') {
    return from.kind === 'stdio'
      ? fromStdio(io, to.text, values)
      : fromSockets(io, from, to.text, values);
  }
  const cure = 'for example: wsx tunnel tcp:5432 wss://example.org/database';
  throw usage('one end is a URL of ws or wss, the other one is not', cure);
}

async function fromStdio(io: Io, url: string, values: Values): Promise<number> {
  let conn: Conn;
  try {
    conn = await dial(url, values, io.interrupted);
  } catch (error) {
    if (io.interrupted.aborted) return ExitCode.Interrupted;
    throw error;
  }
  io.interrupted.addEventListener('abort', () => void giveUp(conn), { once: true });
  return endOf(await join(conn, stdio(io)), publicPart(url));
}

/** Closes a connection after an interrupt, and drops what has not arrived. */
function giveUp(conn: Conn): Promise<CloseInfo> {
  return conn.close(CloseCode.GoingAway, '', { discard: true, timeout: LINGER });
}

/** @throws Failure for an end that is not clean. */
function endOf(end: CloseInfo, what: string): number {
  const failure = endFailure(end);
  if (failure === undefined) return ExitCode.Clean;
  throw new Failure(failure.exitCode, `${what}: ${failure.message}`, failure.cure);
}

function throwUsage(error: unknown): void {
  const failure = dialFailure(error);
  if (failure.exitCode === ExitCode.Usage) throw failure;
}

async function dial(url: string, values: Values, signal?: AbortSignal): Promise<Conn> {
  const { headers, ...options } = dialOptions(values);
  try {
    return await new Dialer({ ...options, closeTimeout: LONGEST }).dial(url, { headers, signal });
  } catch (error) {
    throw signal?.aborted === true ? error : dialFailure(error);
  }
}

/** Each connection to a socket dials the URL. */
async function fromSockets(
  io: Io,
  from: StreamPoint,
  url: string,
  values: Values,
): Promise<number> {
  // A mistake in the options or in the URL ends the command before the first connection.
  await dial(url, values, AbortSignal.abort()).catch(throwUsage);
  const conns = new Set<Conn>();
  const sockets = new Set<Socket>();
  const server = await listenAt(from, (socket) => {
    sockets.add(socket);
    void carry(socket)
      .catch((error: unknown) => {
        // An interrupt also ends the dials.
        if (!io.interrupted.aborted) note(io, `wsx: ${excerpt((error as Error).message, 1_000)}`);
        abort(socket);
      })
      .finally(() => sockets.delete(socket));
  });
  async function carry(socket: Socket): Promise<void> {
    const conn = await dial(url, values, io.interrupted);
    conns.add(conn);
    const end = await join(conn, socket);
    conns.delete(conn);
    endOf(end, publicPart(url));
  }
  const at = server.address();
  const where = typeof at === 'object' && at !== null ? `tcp:${at.address}:${at.port}` : from.text;
  note(io, `listening on ${where}`);
  await aborted(io.interrupted);
  server.close();
  await Promise.all([...conns].map(giveUp));
  for (const socket of sockets) socket.destroy();
  return ExitCode.Clean;
}

/** Serves the URL. Each client dials the other end, or is joined with stdio. */
async function fromWebSockets(
  io: Io,
  url: string,
  to: Exclude<EndPoint, { kind: 'ws' }>,
  values: Values,
): Promise<number> {
  const { hostname, port, protocol, pathname } = urlOf(url);
  const isSecure = protocol === 'wss:';
  if (isSecure !== (values.cert !== undefined)) {
    throw usage(isSecure ? `${url} needs --cert` : `--cert serves wss, and ${url} is ws`);
  }
  const unused = DIAL_ONLY.find((name) => values[name] !== undefined);
  if (unused !== undefined)
    throw usage(`--${unused} is for an end that is dialed, and ${url} listens`);
  const over = new AbortController();
  const sockets = new Set<Socket>();
  let end: CloseInfo | undefined;
  const handler = async (conn: Conn): Promise<void> => {
    if (to.kind === 'stdio') {
      end = await join(conn, stdio(io));
      return over.abort();
    }
    try {
      const opening = openStream(to);
      void opening.then(
        (socket) => sockets.add(socket),
        () => {},
      );
      await join(conn, opening);
      sockets.delete(await opening);
    } catch (error) {
      const text = (error as Error).message;
      note(io, `wsx: ${excerpt(text, 1_000)}`);
      // A reason has at most 123 bytes.
      const reason = Buffer.from(text)
        .subarray(0, 120)
        .toString()
        .replace(/\ufffd+$/, '');
      void conn.close(CloseCode.BadGateway, reason, { timeout: LINGER });
    }
  };
  const { origin } = values;
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  let server: Awaited<ReturnType<typeof serve>>;
  try {
    server = await serve(
      {
        // Not as a route: there, a colon and an asterisk have a meaning.
        ...serverOptions(host, values, (req) =>
          pathOf(req.url ?? '') === pathname ? undefined : { refuse: 404 },
        ),
        // The clients of a tunnel are programs. Any page could name this server as its host.
        ...(origin !== '*' && { sameHost: false, allowedOrigins: [origin ?? []].flat() }),
        closeTimeout: LONGEST,
        port: port === '' ? (isSecure ? 443 : 80) : Number(port),
        ...(to.kind === 'stdio' && { maxConnections: 1 }),
        close: { timeout: LINGER, discard: true },
      },
      handler,
    );
  } catch (error) {
    throw listenFailure(`listen on ${url}`, error);
  }
  note(io, `listening on ${server.url.replace(/\/$/, '')}${pathname}`);
  const stop = (): void => over.abort();
  io.interrupted.addEventListener('abort', stop, { once: true });
  if (io.interrupted.aborted) stop();
  await aborted(over.signal);
  await server.close();
  for (const socket of sockets) socket.destroy();
  return end === undefined ? ExitCode.Clean : endOf(end, publicPart(url));
}

/** A URL without its query: tokens are often there, and messages of a tunnel are kept in logs. */
function publicPart(url: string): string {
  return url.replace(/[?#].*$/s, '');
}

/** The path of a request, spelled as {@link URL} spells it. */
function pathOf(target: string): string {
  const url = target.startsWith('/') ? `ws://host${target}` : target;
  return URL.canParse(url) ? new URL(url).pathname : '';
}

function urlOf(url: string): URL {
  if (/^wss?:\/\//i.test(url) && URL.canParse(url)) return new URL(url);
  throw usage(`cannot listen on ${url}`, 'write ws://127.0.0.1:8080/path');
}

/** Where the bytes of a tunnel come from and go to. A socket is both. */
type Ends = Socket | { readonly input: Readable; readonly output: Writable };

function stdio({ stdin, stdout }: Io): Ends {
  return { input: stdin, output: stdout };
}

/**
 * Carries bytes both ways until both directions have ended.
 *
 * A close frame is the end of one direction, as a FIN is: the end of the input sends it, and the
 * other end answers when its own input has ended (RFC 6455, section 5.5.1, lets it delay the answer).
 *
 * @param opening - The other end. The peer may close meanwhile: its bytes still reach that end.
 * @throws (rejects with) The error of `opening`, while the connection is open.
 */
export async function join(conn: Conn, opening: Ends | Promise<Ends>): Promise<CloseInfo> {
  (conn.underlyingConn as Partial<Socket>).setKeepAlive?.(true, KEEP_ALIVE);
  // Bytes before the peer's close frame are for the output, however slow it is.
  internalsOf(conn).connHandlerStarted();
  const joined = Promise.resolve(opening).then((ends) => {
    const { input, output } = ends instanceof Socket ? { input: ends, output: ends } : ends;
    const sent = sendInput(conn, input);
    return { input, output, sent };
  });
  conn.setCloseHandler(async (code) => {
    // All messages are read by now. Only a normal close leaves the other direction open.
    if (!isNormal(code)) return;
    const { output, sent } = await joined;
    output.end();
    await sent;
  });
  try {
    const { output } = await joined;
    watch(conn, output);
    await writeOutput(conn, output);
  } finally {
    internalsOf(conn).connHandlerSettled();
  }
  const { input, output, sent } = await joined;
  await Promise.race([sent, conn.closed]);
  const timer = setTimeout(() => conn.terminate(), LINGER);
  const end = await conn.closed;
  clearTimeout(timer);
  if (!end.wasClean || !isNormal(end.code)) abort(output);
  input.destroy();
  return end;
}

/** Each side sees the end of the other. */
function watch(conn: Conn, output: Writable): void {
  // A dead output drops its bytes, and the sender should learn that.
  output.on('error', (error: Error) => {
    void conn.close(CloseCode.InternalServerErr, inputOutput('', error).message.slice(2, 120), {
      timeout: LINGER,
      discard: true,
    });
  });
  // It may wait for a reader that does not come.
  void conn.closed.then(({ wasClean }) => wasClean || abort(output));
}

function isNormal(code: number): boolean {
  const { NormalClosure, GoingAway, NoStatusReceived } = CloseCode;
  return [NormalClosure, GoingAway, NoStatusReceived].includes(code as 1000);
}

async function sendInput(conn: Conn, input: Readable): Promise<void> {
  try {
    // A plain loop would destroy a socket at the end of its input.
    for await (const chunk of input.iterator({ destroyOnReturn: false })) {
      await conn.send(chunk as Buffer);
    }
    void conn.close(CloseCode.NormalClosure, '', { timeout: LONGEST });
  } catch (error) {
    if (conn.state !== 'open') return;
    const reason = inputOutput('input', error).message.slice(0, 120);
    void conn.close(CloseCode.InternalServerErr, reason, { timeout: LINGER });
  }
}

async function writeOutput(conn: Conn, output: Writable): Promise<void> {
  try {
    for await (const bytes of joinMessages(conn)) {
      if (!output.write(bytes)) await drained(output);
    }
  } catch (error) {
    if (!(isCloseError(error) && isNormal(error.closeCode))) abort(output);
    else if (!output.writableEnded) output.end();
  }
}

/** Ends a stream so that its peer sees a failure: a reset, where it is TCP. */
function abort(stream: Writable): void {
  if (stream.destroyed) return;
  if (stream instanceof Socket && stream.remoteAddress !== undefined) stream.resetAndDestroy();
  else stream.destroy();
}
