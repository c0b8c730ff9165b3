/**
 * The values that the entry of this folder exports. Node loads the folder with the entry.
 *
 * @module
 */
export { RawUpgrader } from './raw-upgrader.ts';
export { serveRaw } from './serve-raw.ts';
