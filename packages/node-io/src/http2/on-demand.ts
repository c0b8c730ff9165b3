/**
 * The part of this folder that the package uses. Node loads the folder when it is first used.
 *
 * @module
 */
export { Http2Code, resetName } from './codes.ts';
export { http2Transport } from './http2-transport.ts';
export { endAtReset } from './resets.ts';
export { countUnread, sessionMemory } from './session-memory.ts';
export { streamFields } from './stream-fields.ts';
