import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CallArguments, Events, EventType, Obs, RequestType, Responses } from '@ws/obs';

/** Requests of 5.1 that the tour leaves out, and why. */
export const LEFT_OUT: Readonly<Record<string, string>> = {
  CallVendorRequest: 'needs another plugin',
  GetGroupSceneItemList: 'needs a group, which no request creates',
  GetSceneItemPrivateSettings: 'not documented',
  GetSourcePrivateSettings: 'not documented',
  GetVirtualCamStatus: 'needs a kernel module',
  OpenInputInteractDialog: 'needs a browser source',
  PressInputPropertiesButton: 'needs an input with a button',
  SendStreamCaption: 'needs a streaming server',
  SetCurrentSceneTransitionSettings: 'needs a transition with settings, which no request creates',
  SetSceneItemPrivateSettings: 'not documented',
  SetSourcePrivateSettings: 'not documented',
  StartVirtualCam: 'needs a kernel module',
  StopStream: 'needs a streaming server',
  StopVirtualCam: 'needs a kernel module',
  ToggleVirtualCam: 'needs a kernel module',
};

const POLL_MS = 20;
/** How long the event of a request may take. */
const EVENT_MS = 15_000;
/** Events of a name that are compared with their type. */
const MAX_EVENTS = 5;

/** The end of an ObsOutputState. */
type OutputState = 'STARTED' | 'STOPPED' | 'PAUSED' | 'RESUMED';

/** An answer or an event, to compare with its type. */
export interface Seen {
  readonly kind: 'Responses' | 'Events';
  readonly name: string;
  readonly value: unknown;
}

/** Calls the requests of OBS in an order in which each can succeed, and records the answers. */
export class Tour {
  readonly seen: Seen[] = [];
  readonly called: Set<string> = new Set<string>();
  readonly #obs: Obs;
  readonly #folder: string;

  /** @param folder - A folder that OBS can read and write. */
  constructor(obs: Obs, folder: string) {
    this.#obs = obs;
    this.#folder = folder;
  }

  /** Records the events with these names, at most {@link MAX_EVENTS} of each. */
  listen(names: readonly EventType[]): void {
    for (const name of names) {
      let count = 0;
      this.#obs.on(name, (value) => {
        if (++count <= MAX_EVENTS) this.seen.push({ kind: 'Events', name, value });
      });
    }
  }

  async run(): Promise<void> {
    await this.#general();
    await this.#scenes();
    await this.#inputs();
    await this.#media();
    await this.#filters();
    await this.#sceneItems();
    await this.#transitions();
    await this.#userInterface();
    await this.#outputs();
    await this.#stream();
    await this.#settings();
    await this.#pauses();
  }

  async #call<T extends RequestType>(type: T, ...args: CallArguments<T>): Promise<Responses[T]> {
    const value = await this.#obs.call(type, ...args);
    this.called.add(type);
    this.seen.push({ kind: 'Responses', name: type, value });
    return value;
  }

  /** Waits for an event that `start` causes. */
  async #until<E extends EventType>(
    event: E,
    isIt: (data: Events[E]) => boolean,
    start: () => Promise<unknown>,
  ): Promise<void> {
    let remove!: () => void;
    let timer: NodeJS.Timeout | undefined;
    const seen = new Promise<void>((resolve, reject) => {
      remove = this.#obs.on(event, (data) => {
        if (isIt(data)) resolve();
      });
      const last = [...this.called].at(-1);
      timer = setTimeout(() => reject(new Error(`no ${event} after ${last}`)), EVENT_MS);
    });
    try {
      await Promise.all([start(), seen]);
    } finally {
      clearTimeout(timer);
      remove();
    }
  }

  async #general(): Promise<void> {
    await this.#call('GetVersion');
    await this.#call('GetStats');
    await this.#call('BroadcastCustomEvent', { eventData: { note: 'hello' } });
    await this.#call('GetHotkeyList');
    await this.#call('TriggerHotkeyByName', { hotkeyName: 'OBSBasic.ResetStats' });
    await this.#call('TriggerHotkeyByKeySequence', {
      keyId: 'OBS_KEY_F12',
      keyModifiers: { shift: true },
    });
    const [slept] = await this.#obs.batch([
      { requestType: 'Sleep', requestData: { sleepMillis: 1 } },
    ]);
    if (slept?.error === undefined) this.called.add('Sleep');
  }

  async #scenes(): Promise<void> {
    await this.#call('CreateScene', { sceneName: 'Temporary' });
    await this.#call('SetSceneName', { sceneName: 'Temporary', newSceneName: 'Old' });
    await this.#call('RemoveScene', { sceneName: 'Old' });
    await this.#call('CreateScene', { sceneName: 'Second' });
    await this.#call('GetSceneList');
    await this.#call('GetGroupList');
    await this.#call('SetCurrentProgramScene', { sceneName: 'Second' });
    await this.#call('GetCurrentProgramScene');
    const override = { sceneName: 'Second', transitionName: 'Cut', transitionDuration: 100 };
    await this.#call('GetSceneSceneTransitionOverride', { sceneName: 'Second' });
    await this.#call('SetSceneSceneTransitionOverride', override);
    await this.#call('GetSceneSceneTransitionOverride', { sceneName: 'Second' });
    const none = { sceneName: 'Second', transitionName: null, transitionDuration: null };
    await this.#call('SetSceneSceneTransitionOverride', none);
  }

  async #inputs(): Promise<void> {
    await this.#call('GetInputKindList');
    await this.#call('GetSpecialInputs');
    await this.#call('GetInputDefaultSettings', { inputKind: 'color_source_v3' });
    await this.#call('CreateInput', {
      sceneName: 'Second',
      inputName: 'Old color',
      inputKind: 'color_source_v3',
      inputSettings: { color: 0xff_00_ff_00 },
    });
    await this.#call('SetInputName', { inputName: 'Old color', newInputName: 'Color' });
    await this.#call('SetInputSettings', { inputName: 'Color', inputSettings: { width: 320 } });
    await this.#call('GetInputSettings', { inputName: 'Color' });
    await this.#call('GetInputList');
    await this.#call('CreateInput', {
      sceneName: 'Second',
      inputName: 'Screen',
      inputKind: 'xshm_input',
    });
    await this.#call('GetInputPropertiesListPropertyItems', {
      inputName: 'Screen',
      propertyName: 'screen',
    });
    await this.#call('RemoveInput', { inputName: 'Screen' });
    await this.#call('GetSourceActive', { sourceName: 'Color' });
    const picture = { sourceName: 'Second', imageFormat: 'png', imageWidth: 16 };
    await this.#call('GetSourceScreenshot', picture);
    const imageFilePath = join(this.#folder, 'picture.png');
    await this.#call('SaveSourceScreenshot', { ...picture, imageFilePath });
  }

  async #media(): Promise<void> {
    const input = { inputName: 'Sound' };
    const local_file = join(this.#folder, 'sound.wav');
    writeFileSync(local_file, silence(3));
    await this.#until(
      'MediaInputPlaybackStarted',
      () => true,
      () =>
        this.#call('CreateInput', {
          ...input,
          sceneName: 'Second',
          inputKind: 'ffmpeg_source',
          inputSettings: { local_file, looping: true },
        }),
    );
    await this.#call('GetMediaInputStatus', input);
    await this.#call('SetMediaInputCursor', { ...input, mediaCursor: 100 });
    await this.#call('OffsetMediaInputCursor', { ...input, mediaCursorOffset: 10 });
    const mediaAction = 'OBS_WEBSOCKET_MEDIA_INPUT_ACTION_PAUSE';
    await this.#call('TriggerMediaInputAction', { ...input, mediaAction });
    await this.#call('SetInputMute', { ...input, inputMuted: true });
    await this.#call('ToggleInputMute', input);
    await this.#call('GetInputMute', input);
    await this.#call('SetInputVolume', { ...input, inputVolumeMul: 0.5 });
    await this.#call('GetInputVolume', input);
    await this.#call('SetInputAudioBalance', { ...input, inputAudioBalance: 0.25 });
    await this.#call('GetInputAudioBalance', input);
    await this.#call('SetInputAudioSyncOffset', { ...input, inputAudioSyncOffset: 20 });
    await this.#call('GetInputAudioSyncOffset', input);
    const monitorType = 'OBS_MONITORING_TYPE_MONITOR_AND_OUTPUT';
    await this.#call('SetInputAudioMonitorType', { ...input, monitorType });
    await this.#call('GetInputAudioMonitorType', input);
    await this.#call('SetInputAudioTracks', { ...input, inputAudioTracks: { '2': false } });
    await this.#call('GetInputAudioTracks', input);
  }

  async #filters(): Promise<void> {
    const source = { sourceName: 'Color' };
    const filter = { ...source, filterName: 'Correction' };
    await this.#call('GetSourceFilterDefaultSettings', { filterKind: 'color_filter_v2' });
    await this.#call('CreateSourceFilter', { ...filter, filterKind: 'color_filter_v2' });
    await this.#call('CreateSourceFilter', {
      ...source,
      filterName: 'Old crop',
      filterKind: 'crop_filter',
    });
    const newFilterName = 'Crop';
    await this.#call('SetSourceFilterName', { ...source, filterName: 'Old crop', newFilterName });
    await this.#call('SetSourceFilterIndex', { ...filter, filterIndex: 1 });
    await this.#call('SetSourceFilterSettings', { ...filter, filterSettings: { gamma: 0.5 } });
    await this.#call('SetSourceFilterEnabled', { ...filter, filterEnabled: false });
    await this.#call('GetSourceFilter', filter);
    await this.#call('GetSourceFilterList', source);
    await this.#call('RemoveSourceFilter', { ...source, filterName: 'Crop' });
  }

  async #sceneItems(): Promise<void> {
    const scene = { sceneName: 'Second' };
    const { sceneItemId } = await this.#call('GetSceneItemId', { ...scene, sourceName: 'Color' });
    const item = { ...scene, sceneItemId };
    await this.#call('SetSceneItemTransform', { ...item, sceneItemTransform: { positionX: 10 } });
    await this.#call('GetSceneItemTransform', item);
    await this.#call('SetSceneItemEnabled', { ...item, sceneItemEnabled: false });
    await this.#call('GetSceneItemEnabled', item);
    await this.#call('SetSceneItemLocked', { ...item, sceneItemLocked: true });
    await this.#call('GetSceneItemLocked', item);
    await this.#call('SetSceneItemIndex', { ...item, sceneItemIndex: 1 });
    await this.#call('GetSceneItemIndex', item);
    const sceneItemBlendMode = 'OBS_BLEND_ADDITIVE';
    await this.#call('SetSceneItemBlendMode', { ...item, sceneItemBlendMode });
    await this.#call('GetSceneItemBlendMode', item);
    await this.#call('DuplicateSceneItem', { ...item, destinationSceneName: 'Scene' });
    await this.#call('CreateSceneItem', { sceneName: 'Scene', sourceName: 'Second' });
    await this.#call('GetSceneItemList', { sceneName: 'Scene' });
    const duplicate = await this.#call('DuplicateSceneItem', item);
    await this.#call('RemoveSceneItem', { ...scene, sceneItemId: duplicate.sceneItemId });
    await this.#call('GetSceneItemList', scene);
  }

  async #transitions(): Promise<void> {
    await this.#call('GetTransitionKindList');
    await this.#call('GetSceneTransitionList');
    await this.#call('SetCurrentSceneTransition', { transitionName: 'Cut' });
    await this.#call('GetCurrentSceneTransition');
    await this.#call('SetCurrentSceneTransition', { transitionName: 'Fade' });
    await this.#call('SetCurrentSceneTransitionDuration', { transitionDuration: 50 });
    await this.#call('GetCurrentSceneTransition');
    await this.#call('GetCurrentSceneTransitionCursor');
    await this.#call('SetStudioModeEnabled', { studioModeEnabled: true });
    await this.#call('GetStudioModeEnabled');
    await this.#call('SetCurrentPreviewScene', { sceneName: 'Scene' });
    await this.#call('GetCurrentPreviewScene');
    await this.#call('GetSceneList');
    await this.#until(
      'SceneTransitionEnded',
      () => true,
      () => this.#call('TriggerStudioModeTransition'),
    );
    await this.#call('SetTBarPosition', { position: 0.5 });
    await this.#call('SetStudioModeEnabled', { studioModeEnabled: false });
  }

  async #userInterface(): Promise<void> {
    await this.#call('GetMonitorList');
    await this.#call('OpenInputPropertiesDialog', { inputName: 'Color' });
    await this.#call('OpenInputFiltersDialog', { inputName: 'Color' });
    const videoMixType = 'OBS_WEBSOCKET_VIDEO_MIX_TYPE_PROGRAM';
    await this.#call('OpenVideoMixProjector', { videoMixType });
    await this.#call('OpenSourceProjector', { sourceName: 'Color' });
  }

  async #outputs(): Promise<void> {
    const replay = (state: OutputState, start: () => Promise<unknown>): Promise<void> =>
      this.#until(
        'ReplayBufferStateChanged',
        (data) => data.outputState.endsWith(`_${state}`),
        start,
      );

    await this.#call('GetRecordDirectory');
    await this.#record('STARTED', () => this.#call('StartRecord'));
    await this.#recordsMore();
    await this.#record('STOPPED', () => this.#call('StopRecord'));
    await this.#stopped('simple_file_output');
    await this.#record('STARTED', () => this.#call('ToggleRecord'));
    await this.#recordsMore();
    await this.#record('STOPPED', () => this.#call('ToggleRecord'));

    await this.#call('GetReplayBufferStatus');
    await this.#stopped('Replay Buffer');
    await replay('STARTED', () => this.#call('StartReplayBuffer'));
    await this.#until(
      'ReplayBufferSaved',
      () => true,
      () => this.#call('SaveReplayBuffer'),
    );
    await this.#call('GetLastReplayBufferReplay');
    await replay('STOPPED', () => this.#call('StopReplayBuffer'));
    await this.#stopped('Replay Buffer');
    await replay('STARTED', () => this.#call('ToggleReplayBuffer'));
    await replay('STOPPED', () => this.#call('ToggleReplayBuffer'));

    const { outputs } = await this.#call('GetOutputList');
    const output = { outputName: outputs[0]!.outputName };
    await this.#call('GetOutputStatus', output);
    const { outputSettings } = await this.#call('GetOutputSettings', output);
    await this.#call('SetOutputSettings', { ...output, outputSettings });
    const buffer = { outputName: 'Replay Buffer' };
    await this.#stopped('Replay Buffer');
    await replay('STARTED', () => this.#call('StartOutput', buffer));
    await replay('STOPPED', () => this.#call('StopOutput', buffer));
    await this.#stopped('Replay Buffer');
    await replay('STARTED', () => this.#call('ToggleOutput', buffer));
    await replay('STOPPED', () => this.#call('ToggleOutput', buffer));
  }

  /** The last part: OBS 29 may not stop a recording that was paused. */
  async #pauses(): Promise<void> {
    await this.#stopped('simple_file_output');
    await this.#record('STARTED', () => this.#call('StartRecord'));
    await this.#recordsMore();
    await this.#record('PAUSED', () => this.#call('PauseRecord'));
    await this.#record('RESUMED', () => this.#call('ResumeRecord'));
    await this.#call('ToggleRecordPause');
  }

  #record(state: OutputState, start: () => Promise<unknown>): Promise<void> {
    return this.#until(
      'RecordStateChanged',
      (data) => data.outputState.endsWith(`_${state}`),
      start,
    );
  }

  /** Waits until an output can start: OBS sends the event of its end before that. */
  async #stopped(outputName: string): Promise<void> {
    const status = (): Promise<Responses['GetOutputStatus']> =>
      this.#obs.call('GetOutputStatus', { outputName });
    while ((await status()).outputActive) await sleep(POLL_MS);
  }

  /** Waits until frames are written. */
  async #recordsMore(): Promise<void> {
    const { outputDuration: before } = await this.#call('GetRecordStatus');
    // OBS sends no event for frames.
    while ((await this.#obs.call('GetRecordStatus')).outputDuration <= before) await sleep(POLL_MS);
  }

  async #stream(): Promise<void> {
    await this.#call('SetStreamServiceSettings', {
      streamServiceType: 'rtmp_custom',
      streamServiceSettings: { server: 'rtmp://127.0.0.1:1/live', key: 'key' },
    });
    await this.#call('GetStreamServiceSettings');
    await this.#call('GetStreamStatus');
    const stopped = 'OBS_WEBSOCKET_OUTPUT_STOPPED';
    const attempt = (start: () => Promise<unknown>): Promise<void> =>
      this.#until('StreamStateChanged', ({ outputState }) => outputState === stopped, start);
    // Nothing listens there, so both attempts end.
    await attempt(() => this.#call('StartStream'));
    await attempt(() => this.#call('ToggleStream'));
  }

  async #settings(): Promise<void> {
    const slot = { realm: 'OBS_WEBSOCKET_DATA_REALM_PROFILE', slotName: 'slot' };
    await this.#call('GetPersistentData', slot);
    await this.#call('SetPersistentData', { ...slot, slotValue: { list: [1, 'two', null] } });
    await this.#call('GetPersistentData', slot);
    const video = await this.#call('GetVideoSettings');
    await this.#call('SetVideoSettings', video);
    const parameter = { parameterCategory: 'General', parameterName: 'Name' };
    await this.#call('GetProfileParameter', parameter);
    await this.#call('GetProfileParameter', { ...parameter, parameterName: 'None' });
    await this.#call('SetProfileParameter', {
      parameterCategory: 'Tour',
      parameterName: 'Note',
      parameterValue: 'hello',
    });
    await this.#call('SetProfileParameter', {
      parameterCategory: 'Tour',
      parameterName: 'Note',
      parameterValue: null,
    });
    await this.#call('CreateProfile', { profileName: 'Second' });
    await this.#call('GetProfileList');
    await this.#call('SetCurrentProfile', { profileName: 'Untitled' });
    await this.#call('RemoveProfile', { profileName: 'Second' });
    await this.#call('GetSceneCollectionList');
    await this.#call('CreateSceneCollection', { sceneCollectionName: 'Second' });
    await this.#call('SetCurrentSceneCollection', { sceneCollectionName: 'Untitled' });
  }
}

/** A WAV file without sound. */
function silence(seconds: number): Uint8Array {
  const rate = 8_000;
  const bytes = Buffer.alloc(44 + seconds * rate * 2);
  bytes.write('RIFF', 0, 'latin1');
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write('WAVEfmt ', 8, 'latin1');
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(rate, 24);
  bytes.writeUInt32LE(rate * 2, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write('data', 36, 'latin1');
  bytes.writeUInt32LE(bytes.length - 44, 40);
  return bytes;
}
