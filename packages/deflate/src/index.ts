/**
 * permessage-deflate (RFC 7692): an extension of messages, and pools of the engines that it runs on.
 *
 * @module
 */
export type { MessageDeflate } from '@ws/codec';
export {
  type DeflateEngines,
  type Deflater,
  type History,
  type Inflater,
  InflateStatus,
} from './engines.ts';
export { perMessageDeflate } from './per-message-deflate.ts';
