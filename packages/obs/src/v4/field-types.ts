import type { JsonObject } from '../field-types.ts';

export type { JsonObject };

/** Statistics of OBS. */
export interface OBSStats {
  readonly fps: number;
  readonly 'render-total-frames': number;
  readonly 'render-missed-frames': number;
  readonly 'output-total-frames': number;
  readonly 'output-skipped-frames': number;
  readonly 'average-frame-time': number;
  readonly 'cpu-usage': number;
  readonly 'memory-usage': number;
  readonly 'free-disk-space': number;
}

/** An output. */
export interface Output {
  readonly name: string;
  readonly type: string;
  readonly width: number;
  readonly height: number;
  readonly flags: {
    readonly rawValue: number;
    readonly audio: boolean;
    readonly video: boolean;
    readonly encoded: boolean;
    readonly multiTrack: boolean;
    readonly service: boolean;
  };
  readonly settings: JsonObject;
  readonly active: boolean;
  readonly reconnecting: boolean;
  readonly congestion: number;
  readonly totalFrames: number;
  readonly droppedFrames: number;
  readonly totalBytes: number;
}

/** A scene with its items. */
export interface Scene {
  readonly name: string;
  readonly sources: readonly SceneItem[];
}

/** An item of a scene. */
export interface SceneItem {
  readonly id: number;
  readonly name: string;
  readonly type: string;
  readonly alignment: number;
  readonly x: number;
  readonly y: number;
  readonly cx: number;
  readonly cy: number;
  readonly source_cx: number;
  readonly source_cy: number;
  readonly volume: number;
  readonly muted: boolean;
  readonly locked: boolean;
  readonly render: boolean;
  readonly parentGroupName?: string;
  readonly groupChildren?: readonly SceneItem[];
}

/** Position and size of a scene item. */
export interface SceneItemTransform {
  readonly position: { readonly x: number; readonly y: number; readonly alignment: number };
  readonly rotation: number;
  readonly scale: { readonly x: number; readonly y: number; readonly filter: string };
  readonly crop: {
    readonly top: number;
    readonly right: number;
    readonly bottom: number;
    readonly left: number;
  };
  readonly visible: boolean;
  readonly locked: boolean;
  readonly bounds: {
    readonly type: string;
    readonly alignment: number;
    readonly x: number;
    readonly y: number;
  };
  readonly sourceWidth: number;
  readonly sourceHeight: number;
  readonly width: number;
  readonly height: number;
  readonly parentGroupName?: string;
  readonly groupChildren?: readonly SceneItemTransform[];
}

/** A collection of scenes. */
export interface ScenesCollection {
  readonly 'sc-name': string;
}
