/**
 * WebSocket servers on bare streams, without node:http.
 *
 * @module
 */
export type { RequestFacts } from '@ws/codec';
export type { HeadCallbacks } from '../policies/head/head-callbacks.ts';
export { route } from '../route.ts';
export { RawUpgrader, serveRaw } from './on-demand.ts';
export type { RawOptions, RawUpgraderOptions } from './raw-upgrader.ts';
export type { RawServeOptions, RawServer } from './serve-raw.ts';
