import type { ObsMediaInputAction, ObsOutputState } from './generated/enums.ts';

/** A value of JSON. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;

/** An object of JSON whose fields the protocol does not define. */
export interface JsonObject {
  readonly [name: string]: JsonValue | undefined;
}

/** Names a scene, an input or another subject by its name or by its UUID. OBS 29 knows names only. */
export type NameOrUuid<Subject extends string> =
  | (Readonly<Record<`${Subject}Name`, string>> &
      Readonly<Partial<Record<`${Subject}Uuid`, string | undefined>>>)
  | (Readonly<Record<`${Subject}Uuid`, string>> &
      Readonly<Partial<Record<`${Subject}Name`, string | undefined>>>);

/** The audio monitoring of an input. */
export type MonitorType =
  | 'OBS_MONITORING_TYPE_NONE'
  | 'OBS_MONITORING_TYPE_MONITOR_ONLY'
  | 'OBS_MONITORING_TYPE_MONITOR_AND_OUTPUT';

/** What a media input does. */
export type MediaState =
  | 'OBS_MEDIA_STATE_NONE'
  | 'OBS_MEDIA_STATE_PLAYING'
  | 'OBS_MEDIA_STATE_OPENING'
  | 'OBS_MEDIA_STATE_BUFFERING'
  | 'OBS_MEDIA_STATE_PAUSED'
  | 'OBS_MEDIA_STATE_STOPPED'
  | 'OBS_MEDIA_STATE_ENDED'
  | 'OBS_MEDIA_STATE_ERROR';

/** How a scene item is blended with the items below it. */
export type BlendMode =
  | 'OBS_BLEND_NORMAL'
  | 'OBS_BLEND_ADDITIVE'
  | 'OBS_BLEND_SUBTRACT'
  | 'OBS_BLEND_SCREEN'
  | 'OBS_BLEND_MULTIPLY'
  | 'OBS_BLEND_LIGHTEN'
  | 'OBS_BLEND_DARKEN';

/** What a projector of {@link Requests.OpenVideoMixProjector} shows. */
export type VideoMixType =
  | 'OBS_WEBSOCKET_VIDEO_MIX_TYPE_PREVIEW'
  | 'OBS_WEBSOCKET_VIDEO_MIX_TYPE_PROGRAM'
  | 'OBS_WEBSOCKET_VIDEO_MIX_TYPE_MULTIVIEW';

/** A canvas in a list. */
export interface Canvas {
  readonly canvasName: string;
  readonly canvasUuid: string;
  readonly [name: string]: JsonValue | undefined;
}

/** A scene in a list. */
export interface Scene {
  readonly sceneIndex: number;
  readonly sceneName: string;
  readonly sceneUuid?: string;
}

/** An item of a scene or of a group. */
export interface SceneItem {
  readonly sceneItemId: number;
  readonly sceneItemIndex: number;
  readonly sceneItemEnabled: boolean;
  readonly sceneItemLocked: boolean;
  readonly sceneItemBlendMode: BlendMode;
  readonly sceneItemTransform: SceneItemTransform;
  readonly sourceName: string;
  readonly sourceUuid?: string;
  readonly sourceType: string;
  /** `null` for an item that is no input. */
  readonly inputKind: string | null;
  /** `null` for an item that is no scene. */
  readonly isGroup: boolean | null;
}

/** Position and size of a scene item, in pixels of the canvas. */
export interface SceneItemTransform {
  readonly sourceWidth: number;
  readonly sourceHeight: number;
  readonly positionX: number;
  readonly positionY: number;
  readonly rotation: number;
  readonly scaleX: number;
  readonly scaleY: number;
  readonly width: number;
  readonly height: number;
  readonly alignment: number;
  readonly boundsType: string;
  readonly boundsAlignment: number;
  readonly boundsWidth: number;
  readonly boundsHeight: number;
  readonly cropLeft: number;
  readonly cropRight: number;
  readonly cropTop: number;
  readonly cropBottom: number;
  readonly cropToBounds?: boolean;
}

/** Some fields of `Of`: those that a request changes. */
export type Changes<Of> = { readonly [Field in keyof Of]?: Of[Field] | undefined };

/** A filter in a list. */
export interface SourceFilter {
  readonly filterEnabled: boolean;
  readonly filterIndex: number;
  readonly filterKind: string;
  readonly filterName: string;
  readonly filterSettings: JsonObject;
}

/** An input in a list. */
export interface Input {
  readonly inputName: string;
  readonly inputUuid?: string;
  readonly inputKind: string;
  readonly unversionedInputKind: string;
  readonly inputKindCaps?: number;
}

/** Which of the six audio tracks an input is in. */
export type AudioTracks = Readonly<Record<'1' | '2' | '3' | '4' | '5' | '6', boolean>>;

/** An entry of a list in the properties of an input. */
export interface PropertyItem {
  readonly itemName: string;
  readonly itemEnabled: boolean;
  readonly itemValue: JsonValue;
}

/** An output in a list. */
export interface Output {
  readonly outputName: string;
  readonly outputKind: string;
  readonly outputWidth: number;
  readonly outputHeight: number;
  readonly outputActive: boolean;
  readonly outputFlags: Readonly<Record<string, boolean>>;
}

/** A scene transition in a list. */
export interface SceneTransition {
  readonly transitionName: string;
  readonly transitionUuid?: string;
  readonly transitionKind: string;
  readonly transitionFixed: boolean;
  readonly transitionConfigurable: boolean;
}

/** A monitor of the computer that OBS runs on. */
export interface Monitor {
  readonly monitorName: string;
  readonly monitorIndex: number;
  readonly monitorWidth: number;
  readonly monitorHeight: number;
  readonly monitorPositionX: number;
  readonly monitorPositionY: number;
}

/** The volumes of an active input. */
export interface InputVolumeMeter {
  readonly inputName: string;
  readonly inputUuid?: string;
  /** For each channel: magnitude, peak, and peak of the input, from 0 to 1. */
  readonly inputLevelsMul: readonly (readonly number[])[];
}

/** The modifier keys of a hotkey. */
export type KeyModifiers = Readonly<
  Partial<Record<'shift' | 'control' | 'alt' | 'command', boolean | undefined>>
>;

/**
 * Types of fields that the protocol's JSON does not define: the contents of objects and arrays,
 * `null`, names of enumerations, and fields that older versions of OBS do not send. A key is a
 * field of one request or event, or of all of them; or the whole data of one. `tools/obs-types.ts` reads the keys.
 */
export interface FieldTypes {
  // Fields that depend on the kind of a source, filter, transition, output or service.
  defaultFilterSettings: JsonObject;
  defaultInputSettings: JsonObject;
  filterSettings: JsonObject;
  inputSettings: JsonObject;
  outputSettings: JsonObject;
  streamServiceSettings: JsonObject;
  transitionSettings: JsonObject;
  // Not in the protocol's JSON, but sent by OBS 29.
  ToggleRecordPause: { readonly outputPaused?: boolean } | undefined;
  // Fields of other programs.
  CustomEvent: JsonObject;
  eventData: JsonObject;
  requestData: JsonObject;
  responseData: JsonObject;
  slotValue: JsonValue;

  // Not in obs-websocket 5.1.
  currentProgramSceneUuid?: string;
  currentPreviewSceneUuid?: string | null;
  currentSceneTransitionUuid?: string | null;
  inputUuid?: string;
  inputKindCaps?: number;
  sceneUuid?: string;
  sourceUuid?: string;
  transitionUuid?: string;
  'GetCurrentProgramScene.sceneName'?: string;
  'GetCurrentPreviewScene.sceneName'?: string;

  canvases: readonly Canvas[];
  filters: readonly SourceFilter[];
  inputAudioTracks: AudioTracks;
  'SetInputAudioTracks.inputAudioTracks': Changes<AudioTracks>;
  'InputVolumeMeters.inputs': readonly InputVolumeMeter[];
  inputs: readonly Input[];
  keyModifiers: KeyModifiers;
  monitors: readonly Monitor[];
  outputs: readonly Output[];
  propertyItems: readonly PropertyItem[];
  'SceneItemListReindexed.sceneItems': readonly Pick<SceneItem, 'sceneItemId' | 'sceneItemIndex'>[];
  sceneItems: readonly SceneItem[];
  sceneItemTransform: SceneItemTransform;
  'SetSceneItemTransform.sceneItemTransform': Changes<SceneItemTransform>;
  scenes: readonly Scene[];
  transitions: readonly SceneTransition[];

  mediaState: MediaState;
  'MediaInputActionTriggered.mediaAction': ObsMediaInputAction;
  'TriggerMediaInputAction.mediaAction': ObsMediaInputAction;
  monitorType: MonitorType;
  'SetInputAudioMonitorType.monitorType': MonitorType;
  outputState: ObsOutputState;
  sceneItemBlendMode: BlendMode;
  'SetSceneItemBlendMode.sceneItemBlendMode': BlendMode;
  'OpenVideoMixProjector.videoMixType': VideoMixType;

  // `null` when there is none.
  currentPreviewSceneName: string | null;
  'GetCurrentPreviewScene.currentPreviewSceneName': string;
  currentSceneTransitionKind: string | null;
  currentSceneTransitionName: string | null;
  'GetCurrentSceneTransition.transitionDuration': number | null;
  'GetCurrentSceneTransition.transitionSettings': JsonObject | null;
  'GetMediaInputStatus.mediaCursor': number | null;
  'GetMediaInputStatus.mediaDuration': number | null;
  'GetProfileParameter.defaultParameterValue': string | null;
  'GetProfileParameter.parameterValue': string | null;
  'GetSceneSceneTransitionOverride.transitionDuration': number | null;
  'GetSceneSceneTransitionOverride.transitionName': string | null;
  desktop1: string | null;
  desktop2: string | null;
  mic1: string | null;
  mic2: string | null;
  mic3: string | null;
  mic4: string | null;
  'GetSceneList.currentProgramSceneName': string | null;
  'GetSceneList.currentProgramSceneUuid'?: string | null;
  'RecordStateChanged.outputPath': string | null;
  // `null` removes the value.
  'SetProfileParameter.parameterValue': string | null;
  'SetSceneSceneTransitionOverride.transitionDuration': number | null;
  'SetSceneSceneTransitionOverride.transitionName': string | null;
}
