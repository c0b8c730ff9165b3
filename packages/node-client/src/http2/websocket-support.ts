import type { ClientHttp2Session } from 'node:http2';
import type { DialScope } from '../dial-scope.ts';
import { dialError } from '../errors.ts';

/** Pending answers of {@link offersWebSockets}. Listeners for each dial would be too many. */
const pendingOffers = new WeakMap<ClientHttp2Session, Promise<boolean>>();

/** Whether the server allows WebSockets (RFC 8441, section 3). Waits for its SETTINGS. */
export async function offersWebSockets(
  session: ClientHttp2Session,
  scope: DialScope,
): Promise<boolean> {
  if (!session.connecting && isEnabled(session)) return true;
  scope.stage = 'waiting for the settings of HTTP/2';
  let offer = pendingOffers.get(session);
  if (offer === undefined) {
    offer = waitForSettings(session).finally(() => pendingOffers.delete(session));
    pendingOffers.set(session, offer);
    offer.catch(() => {});
  }
  return scope.race(offer);
}

/** The answer to a PING comes after the SETTINGS, whose values are defaults before. */
async function waitForSettings(session: ClientHttp2Session): Promise<boolean> {
  await new Promise<void>((resolve, reject) => {
    const fail = (error?: Error | null): void => {
      reject(dialError('the HTTP/2 session has failed', error ?? undefined));
    };
    const ask = (): void => {
      // The event 'connect' comes one turn late. 'close' follows.
      if (session.destroyed) return;
      session.ping((error) => {
        session.off('error', fail).off('close', fail);
        if (error === null) resolve();
        else fail(error);
      });
    };
    session.once('error', fail).once('close', fail);
    if (session.destroyed) fail();
    else if (session.connecting) session.once('connect', ask);
    else ask();
  });
  return isEnabled(session);
}

function isEnabled({ remoteSettings }: ClientHttp2Session): boolean {
  return remoteSettings.enableConnectProtocol === true;
}
