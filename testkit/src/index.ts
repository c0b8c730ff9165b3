export { hex, toHex } from './hex.ts';
export {
  NaiveDecoder,
  type NaiveFailure,
  type NaiveFrame,
  type NaiveOptions,
  naiveDecode,
} from './naive-decoder.ts';
export { type NaiveFrameOptions, naiveEncode, naiveMask } from './naive-encoder.ts';
export { naiveUtf8 } from './naive-utf8.ts';
