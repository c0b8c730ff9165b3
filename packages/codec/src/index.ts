export { type ClosePayload, formatCloseMessage, parseCloseMessage } from './close/close-payload.ts';
export type { FrameEncoderOptions } from './endpoint/standalone/encoder.ts';
export type {
  EndpointCloseInfo,
  EndpointData,
  EndpointEvent,
  EndpointListener,
  EndpointOptions,
} from './endpoint/standalone/endpoint.ts';
export { Endpoint, FrameEncoder } from './endpoint/standalone/on-demand.ts';
export {
  BackpressureError,
  ProtocolError,
  type ProtocolErrorCode,
  WebSocketError,
} from './errors.ts';
export { FrameDecoder } from './frames/decoder.ts';
export {
  type DecodeEvent,
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  type FrameDecoderOptions,
  NEED_MORE,
} from './frames/decoder-options.ts';
export { type EncodeFrameOptions, encodeFrame } from './frames/encode-frame.ts';
export { FrameHeader } from './frames/header.ts';
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
  type HeaderLines,
  type RequestOptions,
  type SwitchingOptions,
} from './handshake/format.ts';
export type { Head, HeadFault, HeadLimits, HeadVerdict } from './handshake/heads/head.ts';
export {
  checkResponse,
  RequestHead,
  ResponseHead,
  responseRules,
} from './handshake/heads/on-demand.ts';
export type { RequestHeadLimits } from './handshake/heads/request-head.ts';
export type {
  HandshakeOffer,
  ResponseFacts,
  ResponsePart,
  ResponseRule,
} from './handshake/heads/response-rules.ts';
export { acceptKey, isWebSocketKey } from './handshake/key.ts';
export { AllowedOrigins, type SameHost } from './handshake/origin.ts';
export {
  checkRequest,
  http2RequestRules,
  type Refusal,
  type RequestFacts,
  type RequestRule,
  type RequestStep,
  requestRules,
} from './handshake/request-rules.ts';
export { parseSubprotocols, parseTokenList } from './handshake/token-list.ts';
export type { Words } from './masking/mask.ts';
export { unmask } from './masking/mask.ts';
export { MaskKeys } from './masking/mask-key.ts';
export {
  MessageBuffers,
  type MessageBuffersOptions,
  sharedMessageBuffers,
} from './memory/message-buffers.ts';
export type { OwnedBytes, Slab, SlabSource } from './memory/slab.ts';
export { SlabPool, type SlabPoolOptions, sharedSlabPool } from './memory/slab-pool.ts';
export {
  type Compression,
  type DataType,
  DEFAULT_COMPRESSION,
  type DeflateExtension,
  type Extension,
  type ExtensionRuntime,
  type MessageDeflate,
  type SharedEncoding,
} from './messages/extension.ts';
export { MessageDecoder } from './messages/message-decoder.ts';
export {
  BORROWED,
  CHECKED_ONLY,
  CLOSE,
  DELIVERED,
  IGNORED,
  LEASED,
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  type MessageCounters,
  type MessageDecoderOptions,
  type MessageEvent,
  OWNED,
  type PayloadMemory,
  type PayloadUse,
  PING,
  PONG,
  SKIPPED,
  STEP,
} from './messages/message-decoder-options.ts';
export { debugPools } from './pool-guard.ts';
export {
  BinaryMessage,
  CloseCode,
  CloseMessage,
  ContinuationFrame,
  isValidCloseCode,
  PingMessage,
  PongMessage,
  type Role,
  TextMessage,
} from './protocol.ts';
export { UTF8_ACCEPT, UTF8_REJECT, utf8Step } from './text/utf8-automaton.ts';
