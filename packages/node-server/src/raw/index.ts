/**
 * WebSocket servers on bare streams, without node:http.
 *
 * @module
 */
export type { RequestFacts } from '@ws/codec';
export { route } from '../route.ts';
export type { HeadCallbacks } from './head-callbacks.ts';
export { RawUpgrader, serveRaw } from './on-demand.ts';
export type { RawOptions, RawUpgraderOptions } from './raw-upgrader.ts';
export type { RawServeOptions, RawServer } from './serve-raw.ts';
