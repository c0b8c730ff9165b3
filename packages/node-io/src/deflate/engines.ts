import * as zlib from 'node:zlib';
import type { Deflater, Inflater } from '@ws/conn';
import { HandleDeflater } from './handle-deflater.ts';
import { HandleInflater } from './handle-inflater.ts';
import { OneshotDeflater } from './oneshot-deflater.ts';
import { OneshotInflater } from './oneshot-inflater.ts';
import type { ZlibStreams } from './zlib-handle.ts';

/** Creates engines in one of the two ways. */
export interface EngineFactory {
  readonly inflater: () => Inflater;
  readonly deflater: (level: number, windowBits: number) => Deflater;
}

/** EngineFactory on the native handles of zlib's streams. */
export function handleEngines(streams: ZlibStreams = zlib): EngineFactory {
  return {
    inflater: () => new HandleInflater(streams),
    deflater: (level, windowBits) => new HandleDeflater(streams, level, windowBits),
  };
}

/** EngineFactory on zlib's documented functions. */
export const oneshotEngines: EngineFactory = {
  inflater: () => new OneshotInflater(),
  deflater: (level, windowBits) => new OneshotDeflater(level, windowBits),
};
