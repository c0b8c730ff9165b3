export { CloseCode, isValidCloseCode } from './close-code.ts';
export { type ClosePayload, formatCloseMessage, parseCloseMessage } from './close-payload.ts';
export {
  type DecodeEvent,
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  NEED_MORE,
} from './decode-event.ts';
export { FrameDecoder } from './decoder.ts';
export type { FrameDecoderOptions } from './decoder-options.ts';
export { type EncodeFrameOptions, encodeFrame } from './encode-frame.ts';
export { FrameEncoder } from './encoder.ts';
export type { FrameEncoderOptions } from './encoder-options.ts';
export { ProtocolError, type ProtocolErrorCode, WebSocketError } from './errors.ts';
export {
  acceptDeflate,
  type DeflateAgreement,
  type DeflateLimits,
  type DeflateParameters,
  negotiateDeflate,
  offerDeflate,
} from './handshake/deflate-offer.ts';
export { type Extension, formatExtensions, parseExtensions } from './handshake/extensions.ts';
export { isWebSocketKey } from './handshake/key.ts';
export { parseSubprotocols } from './handshake/subprotocol.ts';
export { hasToken, parseTokenList } from './handshake/token-list.ts';
export { FrameHeader } from './header.ts';
export { unmask } from './mask.ts';
export { MaskKeys } from './mask-key.ts';
export {
  MessageBuffers,
  type MessageBuffersOptions,
  sharedMessageBuffers,
} from './message-buffers.ts';
export {
  BinaryMessage,
  CloseMessage,
  ContinuationFrame,
  isControl,
  PingMessage,
  PongMessage,
  type Role,
  TextMessage,
} from './opcode.ts';
export {
  type Slab,
  SlabPool,
  type SlabPoolOptions,
  type SlabSource,
  sharedSlabPool,
} from './pool.ts';
export { debugPools, type PoolGuard, poolGuard } from './pool-guard.ts';
export { frameFaults } from './rules.ts';
export { UTF8_ACCEPT, UTF8_REJECT, utf8Length, utf8Step } from './utf8.ts';
