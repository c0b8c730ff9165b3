export { CloseCode, isValidCloseCode } from './close/close-code.ts';
export { type ClosePayload, formatCloseMessage, parseCloseMessage } from './close/close-payload.ts';
export {
  Endpoint,
  type EndpointCloseInfo,
  type EndpointEvent,
} from './endpoint/endpoint.ts';
export type { EndpointOptions } from './endpoint/endpoint-options.ts';
export type { EndpointData } from './endpoint/payload.ts';
export {
  BackpressureError,
  ProtocolError,
  type ProtocolErrorCode,
  WebSocketError,
} from './errors.ts';
export {
  type DecodeEvent,
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  NEED_MORE,
} from './frames/decode-event.ts';
export { FrameDecoder } from './frames/decoder.ts';
export type { FrameDecoderOptions } from './frames/decoder-options.ts';
export { type EncodeFrameOptions, encodeFrame } from './frames/encode-frame.ts';
export { FrameEncoder } from './frames/encoder.ts';
export type { FrameEncoderOptions } from './frames/encoder-options.ts';
export { FrameHeader } from './frames/header.ts';
export {
  BinaryMessage,
  CloseMessage,
  ContinuationFrame,
  PingMessage,
  PongMessage,
  type Role,
  TextMessage,
} from './frames/opcode.ts';
export { acceptKey } from './handshake/accept-key.ts';
export {
  acceptDeflate,
  type DeflateAgreement,
  type DeflateLimits,
  type DeflateOffer,
  type DeflateParameters,
  negotiateDeflate,
  offerDeflate,
} from './handshake/deflate-negotiation.ts';
export { type ExtensionOffer, formatExtensions, parseExtensions } from './handshake/extensions.ts';
export {
  formatRefusal,
  formatRequest,
  formatSwitching,
  type RequestOptions,
  type SwitchingOptions,
} from './handshake/format.ts';
export type { Head, HeadFault, HeadLimits, HeadVerdict } from './handshake/head.ts';
export type { HeaderLines } from './handshake/header-lines.ts';
export { isWebSocketKey } from './handshake/key.ts';
export { AllowedOrigins, type SameHost } from './handshake/origin.ts';
export type { RequestFacts } from './handshake/request-facts.ts';
export { RequestHead, type RequestHeadLimits } from './handshake/request-head.ts';
export {
  checkRequest,
  http2RequestRules,
  type Refusal,
  type RequestRule,
  type RequestStep,
  requestRules,
} from './handshake/request-rules.ts';
export { ResponseHead } from './handshake/response-head.ts';
export {
  checkResponse,
  type HandshakeOffer,
  type ResponseFacts,
  type ResponsePart,
  type ResponseRule,
  responseRules,
} from './handshake/response-rules.ts';
export { parseSubprotocols } from './handshake/subprotocol.ts';
export { parseTokenList } from './handshake/token-list.ts';
export { unmask } from './masking/mask.ts';
export { MaskKeys } from './masking/mask-key.ts';
export {
  MessageBuffers,
  type MessageBuffersOptions,
  sharedMessageBuffers,
} from './memory/message-buffers.ts';
export type { OwnedBytes } from './memory/owned-bytes.ts';
export type { Slab, SlabSource } from './memory/slab.ts';
export { SlabPool, type SlabPoolOptions, sharedSlabPool } from './memory/slab-pool.ts';
export type { DataType, Extension, SharedEncoding } from './messages/extension.ts';
export { ExtensionChain } from './messages/extension-chain.ts';
export { MessageDecoder } from './messages/message-decoder.ts';
export type { MessageCounters, MessageDecoderOptions } from './messages/message-decoder-options.ts';
export {
  CHECKED_ONLY,
  CLOSE,
  DELIVERED,
  IGNORED,
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  type MessageEvent,
  type PayloadUse,
  PING,
  PONG,
  SKIPPED,
  STEP,
} from './messages/message-event.ts';
export { debugPools } from './pool-guard.ts';
export { UTF8_ACCEPT, UTF8_REJECT, utf8Step } from './text/utf8-automaton.ts';
