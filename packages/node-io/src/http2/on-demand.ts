/**
 * What the rest of the package uses of this folder. Node loads the folder when it is first used.
 *
 * @module
 */
export { Http2Transport } from './http2-transport.ts';
export { countUnread, sessionMemory } from './session-memory.ts';
