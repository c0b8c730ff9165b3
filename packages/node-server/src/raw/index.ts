/**
 * WebSocket servers on bare streams, without node:http.
 *
 * @module
 */
export type { RequestFacts } from '@ws/codec';
export type { HeadCallbacks } from '../policies/head-callbacks.ts';
export { route } from '../route.ts';
export { type RawOptions, RawUpgrader, type RawUpgraderOptions } from './raw-upgrader.ts';
export { type RawServeOptions, type RawServer, serveRaw } from './serve-raw.ts';
