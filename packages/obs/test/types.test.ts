import type { BatchResult, Events, Obs, ObsEvent, Requests, Responses } from '@ws/obs';
import { readProtocol } from '@ws/tests/obs';
import { describe, expect, expectTypeOf, it } from 'vitest';

describe('the types of Obs', () => {
  it('require the data that a request requires', () => {
    // Only the compiler reads these calls.
    const calls = (obs: Obs): unknown => [
      obs.call('GetVersion'),
      obs.call('GetVersion', undefined, { timeout: 1 }),
      obs.call('GetInputList'),
      obs.call('GetInputList', { inputKind: 'x' }),
      obs.call('SetCurrentProgramScene', { sceneName: 'x' }),
      obs.call('SetCurrentProgramScene', { sceneUuid: 'x' }),
      obs.call('DuplicateSceneItem', { sceneName: 'x', sceneItemId: 1 }),
      obs.call('SetInputAudioTracks', { inputName: 'x', inputAudioTracks: { 1: undefined } }),
      obs.call('SetSceneItemTransform', {
        sceneName: 'x',
        sceneItemId: 1,
        sceneItemTransform: { positionX: 1, rotation: undefined },
      }),
      obs.call('SetSceneItemTransform', {
        sceneName: 'x',
        sceneItemId: 1,
        // @ts-expect-error -- no such field
        sceneItemTransform: { x: 1 },
      }),
      // @ts-expect-error -- the scene is missing
      obs.call('SetCurrentProgramScene'),
      // @ts-expect-error -- the scene is missing
      obs.call('SetCurrentProgramScene', {}),
      // @ts-expect-error -- no such request
      obs.call('GetScenes'),
      // @ts-expect-error -- no such field
      obs.call('SetCurrentProgramScene', { sceneName: 'x', scene: 'x' }),
      // @ts-expect-error -- a request without data
      obs.call('GetVersion', {}),
      // @ts-expect-error -- no such event
      obs.on('SwitchScenes', () => {}),
      // @ts-expect-error -- no name
      obs.events(),
      // @ts-expect-error -- the data is missing
      obs.batch([{ requestType: 'CreateScene' }]),
    ];
    expect(calls).toBeTypeOf('function');
  });

  it('say what an older OBS may leave out, and what may be null', () => {
    expectTypeOf<Responses['CreateScene']>().toEqualTypeOf<
      { readonly sceneUuid?: string | undefined } | undefined
    >();
    type List = Responses['GetSceneList'];
    expectTypeOf<List['currentPreviewSceneName']>().toEqualTypeOf<string | null>();
    expectTypeOf<Responses['SetCurrentProgramScene']>().toEqualTypeOf<undefined>();
    expectTypeOf<Events['ExitStarted']>().toEqualTypeOf<undefined>();
    type Result = BatchResult<'GetStudioModeEnabled'>;
    expectTypeOf<Result['responseData']>().toEqualTypeOf<
      Responses['GetStudioModeEnabled'] | undefined
    >();
    expectTypeOf<ObsEvent<'ExitStarted'>>().toEqualTypeOf<{
      readonly type: 'ExitStarted';
      readonly data: undefined;
    }>();
  });

  it('cover every request and event of the protocol', () => {
    interface Protocol {
      readonly requests: readonly { readonly requestType: string }[];
      readonly events: readonly { readonly eventType: string }[];
    }
    const { requests, events } = readProtocol() as Protocol;
    expect([requests.length, events.length]).toEqual([147, 60]);
    expectTypeOf<keyof Requests>().toEqualTypeOf<keyof Responses>();
  });
});
