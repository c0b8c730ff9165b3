import type { IncomingMessage } from 'node:http';
import type { RequestFacts } from '@ws/codec';
import { isThenable } from '@ws/http-shared';
import { HandshakeError } from '@ws/node-server';
import {
  checkNoHeaderDropped,
  checkRequest,
  decodePath,
  type Handshake,
  isHttpReading,
  pathForm,
  queryOf,
  rawPath,
  readAuth,
  type ServerRequest,
  serverFault,
  thrownByAuthenticate,
  unexpectedResult,
} from '@ws/node-server/internal';
import type { CheckedOptions } from '../options.ts';

/**
 * Checks a request as an Upgrader does, before any target hears of it.
 *
 * @throws HandshakeError for the first broken rule; TransportError when the client has gone.
 */
export async function admit(
  plan: CheckedOptions,
  handshake: Handshake,
  { req, facts, socket }: ServerRequest,
  address: string | undefined,
): Promise<void> {
  await handshake.waitForEarlierResponses(req);
  checkNoHeaderDropped(req);
  checkRequest(facts, 'request');
  if (isHttpReading(socket)) throw outsideUpgrade();
  req.url = pathForm(req.url!);
  const { hosts } = plan.upgrader;
  if (!hosts.allows(facts)) throw hosts.refusal(facts);
  if (plan.checksOrigin) await checkOrigin(plan, handshake, req, facts);
  checkRequest(facts, 'offers');
  await authenticate(plan, handshake, req, address);
}

/** Whether the lines of the request about the client are true. Only `true` trusts. */
export function isTrusted({ trust }: CheckedOptions, req: IncomingMessage): boolean {
  if (trust === false) return false;
  let trusted: unknown;
  try {
    trusted = trust(req);
  } catch (cause) {
    throw serverFault('trust', cause);
  }
  if (typeof trusted === 'boolean') return trusted;
  throw serverFault('trust', unexpectedResult('trust', 'true or false', trusted));
}

async function checkOrigin(
  { upgrader: { origins } }: CheckedOptions,
  handshake: Handshake,
  req: ServerRequest['req'],
  facts: RequestFacts,
): Promise<void> {
  checkRequest(facts, 'origin');
  const allowed = await called(handshake, 'checkOrigin', () => origins.allows(facts, req));
  if (allowed && typeof allowed !== 'boolean') {
    throw serverFault('checkOrigin', unexpectedResult('checkOrigin', 'true or false', allowed));
  }
  if (!allowed) throw origins.refusal(facts);
}

async function authenticate(
  { upgrader: { authenticate: ask } }: CheckedOptions,
  handshake: Handshake,
  req: ServerRequest['req'],
  address: string | undefined,
): Promise<void> {
  if (ask === undefined) return;
  const target = req.url!;
  const context = {
    signal: handshake.signal,
    params: Object.create(null) as Record<string, string>,
    path: decodePath(rawPath(target)),
    query: queryOf(target),
    route: undefined,
    address,
  };
  readAuth(await called(handshake, 'authenticate', () => ask(req, context), thrownByAuthenticate));
}

/**
 * Calls a function of the application and waits for its result, while the client is there.
 *
 * @throws what `refusalOf` makes of its error; the failure of the handshake.
 */
export async function called<T>(
  handshake: Handshake,
  name: string,
  call: () => T | PromiseLike<T>,
  refusalOf: (error: unknown) => HandshakeError = (error) => serverFault(name, error),
): Promise<T> {
  handshake.checkClient();
  try {
    const result = call();
    return isThenable(result) ? await handshake.waitForCall(name, result) : result;
  } catch (error) {
    if (handshake.failure !== undefined) throw handshake.failure;
    throw refusalOf(error);
  }
}

/** There Node parses the first frames as requests, so the frames are lost. */
function outsideUpgrade(): HandshakeError {
  const message = "upgrade was called outside a listener for 'upgrade'";
  const cause = new Error(`websocket: ${message}`);
  return new HandshakeError(500, message, { body: 'Internal Server Error\n', cause });
}
