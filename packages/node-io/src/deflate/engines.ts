import * as zlib from 'node:zlib';
import type { Deflater, Inflater } from '@ws/conn';
import { HandleDeflater } from './handle-deflater.ts';
import { HandleInflater } from './handle-inflater.ts';
import { OneshotDeflater } from './oneshot-deflater.ts';
import { OneshotInflater } from './oneshot-inflater.ts';
import type { ZlibStreams } from './zlib-handle.ts';

/** One way to make engines. */
export interface Engines {
  readonly inflater: () => Inflater;
  readonly deflater: (level: number, windowBits: number) => Deflater;
}

/** Engines on the handles of zlib's streams. */
export function handleEngines(streams: ZlibStreams = zlib): Engines {
  return {
    inflater: () => new HandleInflater(streams),
    deflater: (level, windowBits) => new HandleDeflater(streams, level, windowBits),
  };
}

/** Engines by zlib's documented functions. */
export const oneshotEngines: Engines = {
  inflater: () => new OneshotInflater(),
  deflater: (level, windowBits) => new OneshotDeflater(level, windowBits),
};
