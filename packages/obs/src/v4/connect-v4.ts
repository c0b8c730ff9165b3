import { checked } from '@ws/conn/internal';
import { dial as defaultDial } from '@ws/node-client';
import { proofOf } from '../authentication.ts';
import { type Fields, typed } from '../encoding.ts';
import { ObsProtocolError, ObsRequestError } from '../errors.ts';
import { exchange, open } from '../open.ts';
import { type ObsConn, type OpenOptions, openWaitOf, readLimitOf } from '../options.ts';
import { UNKNOWN_STATUS } from '../wire.ts';
import { ObsV4 } from './obs-v4.ts';

/**
 * Connects to the plugin obs-websocket 4 of OBS before version 28, and authenticates.
 *
 * @param url - Default: `ws://127.0.0.1:4444`.
 * @throws (rejects) ObsRequestError of the request `Authenticate` for a missing or wrong password.
 *   ObsCloseError; ObsProtocolError when the server is not obs-websocket 4; TimeoutError; the reason
 *   of the signal; the errors of the dial; TypeError, RangeError for a wrong argument.
 *
 * @example
 * ```ts no-run
 * import { connectV4 } from '@ws/obs/v4';
 *
 * const obs = await connectV4('ws://obs.example.org:4444', { password: 'secret' });
 * obs.on('SwitchScenes', (event) => console.log(event['scene-name']));
 * const { scenes } = await obs.send('GetSceneList');
 * await obs.send('SetCurrentScene', { 'scene-name': scenes[0]!.name });
 * ```
 */
export async function connectV4(
  url: string | URL = 'ws://127.0.0.1:4444',
  options: OpenOptions = {},
): Promise<ObsV4> {
  const wait = checked(() => openWaitOf('connectV4', url, options), connectV4);
  const { password, dial = defaultDial } = options;
  return open({
    url,
    dial,
    readLimit: readLimitOf(options),
    wait,
    subprotocols: [],
    waitsFor: 'answer of obs-websocket 4 (for OBS 28 and later use connect of @ws/obs)',
    async login(conn) {
      const asked = await ask(conn, 'GetAuthRequired');
      if (typed('authRequired', 'boolean', asked['authRequired'])) {
        if (password === undefined)
          throw refused('OBS asks for a password; use the option password');
        const auth = await proofOf(password, asked);
        const { status, error } = await ask(conn, 'Authenticate', { auth });
        if (status !== 'ok') throw refused(`${String(error)}; check the option password`);
      }
      return new ObsV4(conn, options.report);
    },
  });
}

function refused(comment: string): ObsRequestError {
  return new ObsRequestError('Authenticate', UNKNOWN_STATUS, comment);
}

/** Sends one request of the login and reads its answer. Events before the answer are dropped. */
async function ask(conn: ObsConn, type: string, data?: Fields): Promise<Fields> {
  const request = { ...data, 'request-type': type, 'message-id': type };
  let fields = await exchange(conn, undefined, request);
  while ('update-type' in fields) fields = await exchange(conn, undefined);
  if (fields['message-id'] === type) return fields;
  throw new ObsProtocolError(
    `expected the answer to ${type} of obs-websocket 4; for OBS 28 and later use connect of @ws/obs`,
  );
}
