import { decode, encode } from '@msgpack/msgpack';
import { dial } from '@ws/node-client';
import {
  EventSubscription,
  type EventType,
  ObsCloseError,
  ObsRequestError,
  RequestStatus,
  reconnectingObs,
} from '@ws/obs';
import { lacksDaemon, nothingUnhandled } from '@ws/tests';
import { lacksChromium } from '@ws/tests/chromium';
import { readProtocol } from '@ws/tests/obs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rejection, startFake } from '../support.ts';
import { answerTo, EARLY_PROBES, PROBES } from './probes.ts';
import { PROGRAMS, RealObs } from './real-obs.ts';
import { makeScenes, switchByPage } from './switcher-page.ts';
import { LEFT_OUT, Tour } from './tour.ts';
import { typeFaults } from './type-faults.ts';

const ALL_EVENTS =
  EventSubscription.All |
  EventSubscription.InputVolumeMeters |
  EventSubscription.InputActiveStateChanged |
  EventSubscription.InputShowStateChanged |
  EventSubscription.SceneItemTransformChanged;

describe.skipIf(lacksDaemon(...PROGRAMS))('OBS', () => {
  nothingUnhandled();
  let real: RealObs;

  beforeAll(async () => {
    real = await RealObs.start();
  });
  afterAll(async () => {
    await real?.close();
  });

  it('identifies with the password, and says its versions', async () => {
    await using obs = await real.connect();
    expect(obs.info).toMatchObject({ rpcVersion: 1 });
    const { obsWebSocketVersion } = await obs.call('GetVersion');
    expect(obsWebSocketVersion).toBe(obs.info.obsWebSocketVersion);
  });

  it.each([{ password: 'wrong' }, { password: undefined }])(
    'refuses the login %o',
    async (options) => {
      const error = await rejection(real.connect(options));
      expect(error).toBeInstanceOf(ObsCloseError);
      expect(error).toMatchObject({ closeCode: 4009 });
      expect(error.message).toContain('check the option password');
    },
  );

  it('refuses an unsupported rpcVersion', async () => {
    const error = await rejection(real.connect({ rpcVersion: 99 }));
    expect(error).toMatchObject({ closeCode: 4010 });
  });

  it('refuses a request that it does not know', async () => {
    await using obs = await real.connect();
    const error = await rejection(obs.call('GetScenes' as never));
    expect(error).toBeInstanceOf(ObsRequestError);
    expect(error).toMatchObject({ status: RequestStatus.UnknownRequestType });
  });

  it('sends MessagePack', async () => {
    await using obs = await real.connect({ encoding: { encode, decode } });
    const { scenes } = await obs.call('GetSceneList');
    expect(scenes.map(({ sceneName }) => sceneName)).toContain('Scene');
  });

  it('sends the events of the subscription, also after reidentify', async () => {
    await using obs = await real.connect({ eventSubscriptions: EventSubscription.None });
    const seen: string[] = [];
    obs.on('SceneCreated', ({ sceneName }) => seen.push(sceneName));
    await obs.call('CreateScene', { sceneName: 'Unseen' });
    await obs.reidentify({ eventSubscriptions: EventSubscription.Scenes });
    const events = obs.events('SceneRemoved')[Symbol.asyncIterator]();
    const removed = events.next();
    await obs.call('CreateScene', { sceneName: 'Seen' });
    await obs.call('RemoveScene', { sceneName: 'Unseen' });
    expect(await removed).toMatchObject({ value: { data: { sceneName: 'Unseen' } } });
    await obs.call('RemoveScene', { sceneName: 'Seen' });
    expect(seen).toEqual(['Seen']);
  });

  it('makes and removes an input', async () => {
    await using obs = await real.connect();
    const input = { inputName: 'Color', inputKind: 'color_source_v3' };
    await obs.call('CreateInput', { sceneName: 'Scene', ...input });
    expect((await obs.call('GetInputList')).inputs).toMatchObject([input]);
    const removed = obs.events('InputRemoved')[Symbol.asyncIterator]().next();
    await obs.call('RemoveInput', { inputName: 'Color' });
    expect(await removed).toMatchObject({ value: { data: { inputName: 'Color' } } });
  });

  it.each(['serial-realtime', 'serial-frame', 'parallel'] as const)(
    'carries out a batch %s',
    async (execution) => {
      await using obs = await real.connect();
      const results = await obs.batch(
        [
          { requestType: 'GetVersion' },
          { requestType: 'RemoveScene', requestData: { sceneName: 'None' } },
          { requestType: 'GetStudioModeEnabled' },
        ],
        { execution },
      );
      expect(results.map(({ error }) => error?.status)).toContain(RequestStatus.ResourceNotFound);
      expect(results).toHaveLength(3);
    },
  );

  it('stops a batch at the first refused request', async () => {
    await using obs = await real.connect();
    const results = await obs.batch(
      [
        { requestType: 'RemoveScene', requestData: { sceneName: 'None' } },
        { requestType: 'GetVersion' },
      ],
      { haltOnFailure: true },
    );
    expect(results.map(({ requestStatus }) => requestStatus.code)).toEqual([600]);
  });

  it('answers wrong messages as the fake OBS of the tests does', async () => {
    const fake = await startFake({ password: real.password });
    const check = async (name: string, message: object | string, password?: string) => {
      const [ofFake, ofReal] = await Promise.all([
        answerTo(message, fake.url, dial, password),
        answerTo(message, 'ws://127.0.0.1:4455', real.dial, password),
      ]);
      expect([name, ofFake]).toEqual([name, ofReal]);
    };
    await Promise.all([
      ...Object.entries(EARLY_PROBES).map(([name, message]) => check(name, message)),
      ...Object.entries(PROBES).map(([name, message]) => check(name, message, real.password)),
    ]);
  });

  it.skipIf(lacksChromium())('is switched by the page of examples/obs-switcher', async () => {
    await using obs = await real.connect();
    await makeScenes(obs);
    const relay = await real.listen();
    try {
      const { scenes, pressed, picture } = await switchByPage(relay.url, real.password, 'Break');
      expect(scenes).toEqual(['Scene', 'Camera', 'Slides', 'Break']);
      expect(pressed).toBe('Break');
      expect((await obs.call('GetCurrentProgramScene')).currentProgramSceneName).toBe('Break');
      expect(picture).toEqual({ width: 640, height: 480, pixel: [0x8a, 0x2d, 0x1d, 255] });
    } finally {
      relay.close();
    }
    await obs.call('SetCurrentProgramScene', { sceneName: 'Scene' });
    for (const sceneName of ['Camera', 'Slides', 'Break']) {
      await obs.call('RemoveScene', { sceneName });
    }
  });

  it('sends answers and events that match their types, for every request it can', async () => {
    await using obs = await real.connect({ eventSubscriptions: ALL_EVENTS });
    const { events } = readProtocol() as {
      events: readonly { readonly eventType: EventType }[];
    };
    const tour = new Tour(obs, real.folder);
    tour.listen(events.map(({ eventType }) => eventType));
    await tour.run();

    const { availableRequests } = await obs.call('GetVersion');
    const left = availableRequests.filter((name) => !tour.called.has(name) && !(name in LEFT_OUT));
    expect(left).toEqual([]);
    const names = (kind: string): Set<string> =>
      new Set(tour.seen.filter((seen) => seen.kind === kind).map(({ name }) => name));
    expect(tour.called.size).toBeGreaterThanOrEqual(110);
    expect(names('Events').size).toBeGreaterThanOrEqual(40);
    expect(typeFaults(tour.seen)).toEqual([]);
  });

  it('rejects pending calls when it is killed, and is reached again after a start', async () => {
    const obs = await real.connect();
    const pending = obs.batch([{ requestType: 'Sleep', requestData: { sleepMillis: 50_000 } }]);
    await obs.call('GetVersion');
    real.kill();
    const error = await rejection(pending);
    expect(error).toBeInstanceOf(ObsCloseError);
    expect(error).toMatchObject({ closeCode: 1006 });
    expect(await obs.closed).toMatchObject({ code: 1006, wasClean: false });
    expect(await rejection(obs.call('GetVersion'))).toBeInstanceOf(ObsCloseError);

    await real.close();
    const options = { password: real.password, minDelay: 10, maxDelay: 100 };
    let current: RealObs | undefined;
    const dialCurrent: typeof real.dial = (url, dialOptions) =>
      current === undefined
        ? dial('ws://127.0.0.1:1', dialOptions)
        : current.dial(url, dialOptions);
    const again = reconnectingObs(undefined, { ...options, dial: dialCurrent });
    const first = again[Symbol.asyncIterator]().next();
    real = current = await RealObs.start();
    const { value } = (await first) as { value: Awaited<ReturnType<RealObs['connect']>> };
    expect((await value.call('GetVersion')).rpcVersion).toBe(1);
    await value.close();
  });
});
