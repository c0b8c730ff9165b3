import { nothingUnhandled } from '@ws/tests';
import * as json from 'obs-websocket-js/json';
import * as msgpack from 'obs-websocket-js/msgpack';
import { describe, expect, it, onTestFinished } from 'vitest';
import { rejection, startFake } from './support.ts';

// A client by others accepts the fake of our tests, so the fake speaks the protocol.
describe.each([
  ['JSON', json],
  // The same types, with protected members.
  ['MessagePack', msgpack as unknown as typeof json],
] as const)('the fake OBS, for obs-websocket-js with %s', (_, { OBSWebSocket, ...others }) => {
  const { EventSubscription, OBSWebSocketError } = others;
  nothingUnhandled();

  async function connected(url: string, password?: string): Promise<json.OBSWebSocket> {
    const client = new OBSWebSocket();
    onTestFinished(() => client.disconnect());
    await client.connect(url, password, { eventSubscriptions: EventSubscription.All });
    return client;
  }

  it('authenticates, answers and sends events', async () => {
    const fake = await startFake({ password: 'secret' });
    const client = await connected(fake.url, 'secret');
    const event = new Promise((resolve) => client.once('CurrentProgramSceneChanged', resolve));
    await client.call('SetCurrentProgramScene', { sceneName: 'Camera' });
    expect(await event).toEqual({ sceneName: 'Camera' });
    const { scenes } = await client.call('GetSceneList');
    expect(scenes).toHaveLength(2);
  });

  it('refuses a wrong password and a wrong request', async () => {
    const fake = await startFake({ password: 'secret' });
    expect(await rejection(connected(fake.url, 'wrong'))).toMatchObject({ code: 4009 });
    const client = await connected(fake.url, 'secret');
    const error = await rejection(client.call('SetCurrentProgramScene', { sceneName: 'Nowhere' }));
    expect(error).toBeInstanceOf(OBSWebSocketError);
    expect(error).toMatchObject({ code: 600 });
  });

  it('carries out batches and reidentifies', async () => {
    const fake = await startFake();
    const client = await connected(fake.url);
    const results = await client.callBatch([
      { requestType: 'GetVersion' },
      { requestType: 'RemoveInput', requestData: { inputName: 'none' } },
    ]);
    expect(results.map(({ requestStatus }) => requestStatus.code)).toEqual([100, 600]);
    await client.reidentify({ eventSubscriptions: 0 });
    client.on('StudioModeStateChanged', () => expect.fail('not subscribed'));
    await client.call('SetStudioModeEnabled', { studioModeEnabled: true });
    await client.call('GetVersion');
  });
});
