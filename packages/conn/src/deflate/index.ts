/**
 * permessage-deflate (RFC 7692) for compression engines of your own.
 *
 * @module
 */
export { perMessageDeflate } from './per-message-deflate.ts';
