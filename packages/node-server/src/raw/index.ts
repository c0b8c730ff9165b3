/**
 * WebSocket servers on bare streams, without node:http.
 *
 * @module
 */
export type { RequestFacts } from '@ws/codec';
export { route } from '../route.ts';
export type { HeadCallbacks } from '../policies/head-callbacks.ts';
export type { RawOptions, RawUpgraderOptions } from './raw-options.ts';
export { RawUpgrader } from './raw-upgrader.ts';
export { type RawServeOptions, type RawServer, serveRaw } from './serve-raw.ts';
