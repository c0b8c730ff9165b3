import { createHash } from 'node:crypto';
import type { ObsConn, ObsDial } from '@ws/obs';

const request = (requestType: unknown, requestData?: unknown): object => ({
  op: 6,
  d: { requestType, requestId: 'x', requestData },
});

/** Messages by their meaning. Most are wrong. */
export const PROBES: Readonly<Record<string, object | string>> = {
  'no JSON': '{',
  'no object': '[]',
  'no op': { d: {} },
  'an unknown op': { op: 99, d: {} },
  'no data': { op: 6 },
  'a second Identify': { op: 1, d: { rpcVersion: 1 } },
  'Reidentify with a wrong mask': { op: 3, d: { eventSubscriptions: 'x' } },
  'a request without a type': { op: 6, d: { requestId: 'x' } },
  'a request without an id': { op: 6, d: { requestType: 'GetVersion' } },
  'an unknown request': request('GetScenes'),
  'a request with wrong data': request('GetStudioModeEnabled', []),
  'a request without its data': request('CreateScene'),
  'a request without its field': request('CreateScene', {}),
  'a field of another type': request('CreateScene', { sceneName: 1 }),
  'a number of another type': request('SetCurrentSceneTransitionDuration', {
    transitionDuration: 'x',
  }),
  'a boolean of another type': request('SetStudioModeEnabled', { studioModeEnabled: 1 }),
  'an object of another type': request('BroadcastCustomEvent', { eventData: 1 }),
  'an empty name': request('CreateScene', { sceneName: '' }),
  'a name that exists': request('CreateScene', { sceneName: 'Scene' }),
  'a scene that does not exist': request('SetCurrentProgramScene', { sceneName: 'None' }),
  'an input that does not exist': request('RemoveInput', { inputName: 'None' }),
  'a request with an answer': request('GetStudioModeEnabled'),
  'a request without data in its answer': request('SetStudioModeEnabled', {
    studioModeEnabled: false,
  }),
  'Sleep without a batch': request('Sleep', { sleepMillis: 1 }),
  'a batch without requests': { op: 8, d: { requestId: 'x' } },
  'an empty batch': { op: 8, d: { requestId: 'x', requests: [] } },
  'a batch without an id': { op: 8, d: { requests: [] } },
  'a batch with a wrong execution type': {
    op: 8,
    d: { requestId: 'x', requests: [], executionType: 9 },
  },
  'a batch with refused requests': {
    op: 8,
    d: {
      requestId: 'x',
      requests: [
        { requestType: 'GetStudioModeEnabled', requestId: 'y' },
        { requestType: 'GetScenes' },
        {},
        { requestType: 'RemoveScene', requestData: { sceneName: 'None' } },
      ],
    },
  },
  'a batch that halts': {
    op: 8,
    d: {
      requestId: 'x',
      haltOnFailure: true,
      requests: [{ requestType: 'GetScenes' }, { requestType: 'GetStudioModeEnabled' }],
    },
  },
};

/** Messages before Identify. */
export const EARLY_PROBES: Readonly<Record<string, object | string>> = {
  'a request': request('GetVersion'),
  'no data': { op: 1 },
  'Identify without rpcVersion': { op: 1, d: {} },
  'Identify without a password': { op: 1, d: { rpcVersion: 1 } },
};

/** Sends a message. Returns OBS's next message, or how OBS closed the connection. */
export async function answerTo(
  message: object | string,
  url: string,
  dial: ObsDial,
  password: string | undefined,
): Promise<unknown> {
  const conn = await dial(url, {
    signal: AbortSignal.timeout(60_000),
    subprotocols: ['obswebsocket.json'],
  });
  try {
    const { d } = (await read(conn)) as { d: { authentication: Record<string, string> } };
    if (password !== undefined) {
      const { salt, challenge } = d.authentication;
      const digest = (text: string): string => createHash('sha256').update(text).digest('base64');
      const authentication = digest(digest(`${password}${salt}`) + challenge);
      const identify = { rpcVersion: 1, authentication, eventSubscriptions: 0 };
      await conn.send(JSON.stringify({ op: 1, d: identify }));
      await read(conn);
    }
    await conn.send(typeof message === 'string' ? message : JSON.stringify(message));
    return await read(conn);
  } catch {
    const { code, reason } = await conn.closed;
    // The words of a JSON parser follow.
    return { code, reason: reason.replace(/Json: .*/s, 'Json') };
  } finally {
    await conn.close();
  }
}

async function read(conn: ObsConn): Promise<unknown> {
  return (await conn.readMessage({ signal: AbortSignal.timeout(60_000) })).json();
}
