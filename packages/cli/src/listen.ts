import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Conn, DataType, MessageReader } from '@ws/node-client';
import { type ServeOptions, serve } from '@ws/node-server';
import { checkClose, endsOf } from './conversation.ts';
import { printAll } from './converse.ts';
import { basicOf, certificateOf, connSettings, pairOf } from './dial-options.ts';
import { excerpt } from './escape.ts';
import { ExitCode, Failure, inputOutput, usage } from './failure.ts';
import { type Outgoing, type OutgoingWriter, sendAll } from './input.ts';
import { aborted, type Io } from './io.ts';
import type { Values } from './options.ts';
import { hostOf, isLoopback, LOOPBACK, OTHER_NAME, ownHosts } from './own-hosts.ts';
import type { PromptTarget } from './prompt.ts';
import { staticFiles } from './static-files.ts';
import type { View } from './views.ts';

const PORT = 8080;

/** `wsx listen`: every client to stdout, stdin to all clients. */
export async function listen(
  io: Io,
  [address = '']: readonly string[],
  values: Values,
): Promise<number> {
  const ends = await endsOf(io, values);
  const allClients = new AllClients();
  const stopped = new AbortController();
  const stop = (): void => stopped.abort();
  let failure: Failure | undefined;
  let goodbye: { readonly code?: number; readonly reason?: string } = {};
  let clients = 0;

  const server = await start(address, values, async (conn) => {
    const client = ++clients;
    ends.prompt?.print(`client ${client} from ${conn.remoteAddr ?? 'a Unix socket'}\n`);
    allClients.add(conn, client);
    const view = values.echo === true ? echoing(ends.view, conn) : ends.view;
    const { code, reason } = await printAll(conn, view, client);
    allClients.delete(conn);
    ends.prompt?.print(`client ${client} has left: ${code} ${excerpt(reason)}\n`);
  });
  ends.note(`listening on ${server.url}`);

  ends.output.onFailure((error) => {
    failure = error;
    stop();
  });
  io.interrupted.addEventListener('abort', stop, { once: true });
  if (io.interrupted.aborted) stop();
  const target: PromptTarget = {
    out: allClients,
    ended: stopped.signal,
    ping: () => allClients.ping(),
    close(code, reason) {
      if (code !== undefined) checkClose(code, reason);
      goodbye = code === undefined ? {} : { code, reason };
      stop();
    },
  };
  const speaking =
    ends.prompt === undefined
      ? sendAll(io.stdin, ends.format, allClients)
      : ends.prompt.run(target).then(stop);
  speaking.catch((error: unknown) => {
    if (stopped.signal.aborted) return;
    failure = error instanceof Failure ? error : inputOutput('stdin', error);
    stop();
  });
  await aborted(stopped.signal);
  allClients.end();
  await server.close(goodbye);
  await ends.output.finish();
  if (failure !== undefined) throw failure;
  return ExitCode.Clean;
}

/** @throws Failure for a bad address or option, and when nothing can listen there. */
async function start(address: string, values: Values, handler: (conn: Conn) => Promise<void>) {
  const { host, port } = addressOf(address);
  const admits = values.user === undefined ? undefined : loginCheck(basicOf(values.user));
  const isOwn = ownHosts(host, values);
  const { static: folder, origin } = values;
  const request = folder === undefined ? undefined : staticFiles(folder, isOwn, admits);
  const options = {
    ...serverOptions(host, values, ({ headers }) => {
      // A page is one of --origin, or of the host that it names: that name may be anyone's.
      const isForeign = headers.origin !== undefined && headers.origin !== origin;
      return isForeign && !isOwn(hostOf(headers)) ? FOREIGN : undefined;
    }),
    ...(origin !== undefined && origin !== '*' && { allowedOrigins: [origin] }),
  };
  try {
    return await serve({ ...options, port, ...(request !== undefined && { request }) }, handler);
  } catch (error) {
    throw listenFailure(`listen on ${host}:${port}`, error);
  }
}

/**
 * The options of a server, without its port and without the pages that it admits.
 *
 * @param refusal - Refuses a request before its login is checked.
 * @throws Failure, exit code 2 or 8, for a value that is malformed, or a file that cannot be read.
 */
export function serverOptions(
  host: string,
  values: Values,
  refusal: (req: IncomingMessage) => Login | undefined,
): ServeOptions<Login> {
  const { header = [], subprotocol, http2, user, origin } = values;
  const certificate = certificateOf(values);
  const tls = certificate.cert === undefined ? undefined : certificate;
  const admits = user === undefined ? undefined : loginCheck(basicOf(user));
  return {
    ...connSettings(values),
    host,
    ...(tls !== undefined && { tls }),
    ...(http2 === true && { http2: tls === undefined ? 'clear' : true }),
    ...(header.length > 0 && { headers: header.map(pairOf) }),
    ...(subprotocol !== undefined && { subprotocols: subprotocol }),
    ...(origin === '*' && { checkOrigin: () => true }),
    // Names that lead to 127.0.0.1 may belong to anyone: their pages stay out.
    ...(isLoopback(host) && { allowedHosts: LOOPBACK }),
    authenticate: (req) => refusal(req) ?? (admits === undefined || admits(req) || LOGIN),
    close: { timeout: 5_000 },
  };
}

/** The answer of `authenticate`: yes, or a refusal. */
type Login = boolean | { refuse: number; headers?: Record<string, string>; body?: string };

/** Makes a failed `serve` a {@link Failure}. */
export function listenFailure(what: string, error: unknown): Failure {
  if (error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError) {
    return usage(error.message);
  }
  if ('syscall' in (error as Error)) return inputOutput(what, error);
  return new Failure(ExitCode.InputOutput, `${what}: ${(error as Error).message}`);
}

const FOREIGN = { refuse: 421, body: `${OTHER_NAME}\n` };
const LOGIN = { refuse: 401, headers: { 'WWW-Authenticate': 'Basic realm="wsx"' } };

/** @throws Failure, exit code 2, for a text that is neither a port nor a host with one. */
export function addressOf(text: string, port = PORT): { host: string; port: number } {
  const match = /^(?:(.*):)?(\d*)$/.exec(text);
  const [, name = '', digits = ''] = match ?? [];
  const host = /^\[.*\]$/.test(name) ? name.slice(1, -1) : name;
  const number = digits === '' ? port : Number(digits);
  if (match !== null && number <= 65_535 && (host === name ? !name.includes(':') : true)) {
    return { host: host === '' ? '127.0.0.1' : host, port: number };
  }
  throw usage(`expected a port, such as 8080 or 0.0.0.0:8080, got ${text}`);
}

/** Compares the login of a request in constant time. */
function loginCheck(expected: string): (req: IncomingMessage) => boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const wanted = digest(expected);
  return ({ headers }) => timingSafeEqual(digest(headers.authorization ?? ''), wanted);
}

/** All clients, as one place to send messages to. The slowest one slows stdin. */
class AllClients implements Outgoing {
  readonly #clients = new Map<Conn, number>();
  #waiting: (() => void)[] = [];
  #isOver = false;
  #sent: Promise<unknown> | undefined;

  add(conn: Conn, client: number): void {
    this.#clients.set(conn, client);
    for (const each of this.#waiting.splice(0)) each();
  }

  delete(conn: Conn): void {
    this.#clients.delete(conn);
  }

  end(): void {
    this.#isOver = true;
    for (const each of this.#waiting.splice(0)) each();
  }

  send(type: DataType, bytes: Uint8Array): Promise<void> | undefined {
    if (this.#clients.size === 0 && !this.#isOver) {
      return this.#someone().then(() => this.send(type, bytes));
    }
    this.#sent = this.#each((conn) => conn.writeMessage(type, bytes));
    return undefined;
  }

  ready(): Promise<void> | undefined {
    return this.#sent?.then(() => {});
  }

  /** Opens a message to the clients of now. */
  async open(type: DataType): Promise<OutgoingWriter> {
    await this.#someone();
    const opened = await this.#each((conn) => conn.nextWriter(type, { queue: true }));
    const writers = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    // A client that leaves does not end the message for the others.
    return {
      write: async (bytes) => {
        await Promise.allSettled(writers.map((writer) => writer.write(bytes)));
      },
      close: async () => {
        await Promise.allSettled(writers.map((writer) => writer.close()));
      },
      abort: () => {
        for (const writer of writers) writer.abort();
      },
    };
  }

  async ping(): Promise<string> {
    const clients = [...this.#clients];
    const lines = clients.map(async ([conn, client]) => {
      const ms = await conn.ping();
      return `client ${client}: pong after ${ms.toFixed(1)} ms`;
    });
    const settled = await Promise.allSettled(lines);
    const texts = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    return texts.length === 0 ? 'no client has answered' : texts.join('\n');
  }

  #each<T>(call: (conn: Conn) => Promise<T>): Promise<PromiseSettledResult<T>[]> {
    return Promise.allSettled([...this.#clients.keys()].map(call));
  }

  /** Messages wait for the first client. */
  async #someone(): Promise<void> {
    while (this.#clients.size === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

/** A view that sends each message back while it prints it. */
function echoing(view: View, conn: Conn): View {
  return {
    whole: (type, bytes, client) => view.whole(type, bytes, client),
    async take(reader, buffer, client) {
      const writer = await conn.nextWriter(reader.type, { queue: true });
      const tee: Pick<MessageReader, 'type' | 'read'> = {
        type: reader.type,
        async read(into) {
          const length = await reader.read(into);
          if (length === 0) await writer.close();
          else await writer.write(into.slice(0, length));
          return length;
        },
      };
      try {
        await view.take(tee, buffer, client);
      } catch (error) {
        writer.abort();
        throw error;
      }
    },
  };
}
