import type { ClientHttp2Session } from 'node:http2';
import type { DialScope } from '../dial-scope.ts';
import { BadHandshakeError, dialError } from '../errors.ts';

/** Pending answers of {@link offersWebSockets}. Listeners for each dial would be too many. */
const pendingOffers = new WeakMap<ClientHttp2Session, Promise<boolean>>();

/**
 * Whether the server allows WebSockets (RFC 8441, section 3). Waits for its SETTINGS.
 *
 * @param isNew - The session has read nothing yet.
 * @throws BadHandshakeError when the server does not speak HTTP/2; TransportError when the session ends
 *   before its SETTINGS.
 */
export async function offersWebSockets(
  session: ClientHttp2Session,
  scope: DialScope,
  isNew: boolean,
): Promise<boolean> {
  if (!session.connecting && isEnabled(session)) return true;
  scope.stage = 'waiting for the settings of HTTP/2';
  let offer = pendingOffers.get(session);
  if (offer === undefined) {
    offer = waitForSettings(session, isNew).finally(() => pendingOffers.delete(session));
    pendingOffers.set(session, offer);
    offer.catch(() => {});
  }
  return scope.race(offer);
}

/** Turns of the event loop in which Node emits an end that has arrived with the SETTINGS. */
const END_TURNS = 16;

function afterTurns(turns: number, then: () => void): void {
  setImmediate(() => (turns > 1 ? afterTurns(turns - 1, then) : then()));
}

/** Only SETTINGS without WebSockets need more: their values are defaults before. */
async function waitForSettings(session: ClientHttp2Session, isNew: boolean): Promise<boolean> {
  await new Promise<void>((resolve, reject) => {
    const fail = (error?: Error | null): void => {
      stop();
      reject(failureOf(error ?? undefined));
    };
    const stop = (): void => {
      session.off('error', fail).off('close', fail).off('remoteSettings', onSettings);
    };
    const done = (): void => {
      stop();
      resolve();
    };
    const onSettings = (): void => {
      if (isEnabled(session)) done();
      // The end may have come with them: Node takes some turns to emit it.
      else afterTurns(END_TURNS, done);
    };
    // SETTINGS that came before show no event. The answer to a PING comes after them.
    const ask = (): void => {
      session.ping((error) => {
        if (error === null) done();
        else fail(error);
      });
    };
    session.once('error', fail).once('close', fail).on('remoteSettings', onSettings);
    if (session.destroyed) fail();
    else if (!isNew && !session.connecting) ask();
  });
  return isEnabled(session);
}

function failureOf(cause: NodeJS.ErrnoException | undefined): Error {
  // nghttp2 cannot read the answer.
  if (cause?.code === 'ERR_HTTP2_ERROR') {
    return new BadHandshakeError('the server does not speak HTTP/2', undefined, { cause });
  }
  if (cause !== undefined) return dialError('the HTTP/2 session has failed', cause);
  const what = 'the connection ended before the first frame of HTTP/2';
  return dialError(`${what}; perhaps the server does not speak it`, undefined);
}

function isEnabled({ remoteSettings }: ClientHttp2Session): boolean {
  return remoteSettings.enableConnectProtocol === true;
}
