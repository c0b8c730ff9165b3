// Numbers of the protocol that this package uses. Constants, unlike the objects of
// generated/enums.ts, cost a bundle nothing. A test compares both.

export const HELLO = 0;
export const IDENTIFY = 1;
export const IDENTIFIED = 2;
export const REIDENTIFY = 3;
export const EVENT = 5;
export const REQUEST = 6;
export const REQUEST_RESPONSE = 7;
export const REQUEST_BATCH = 8;
export const REQUEST_BATCH_RESPONSE = 9;

/** A refusal without a status. */
export const UNKNOWN_STATUS = 0;

// Close codes of RFC 6455.
export const NORMAL_CLOSURE = 1000;
export const GOING_AWAY = 1001;
export const NO_STATUS_RECEIVED = 1005;
export const ABNORMAL_CLOSURE = 1006;

// Close codes of obs-websocket.
export const MESSAGE_DECODE_ERROR = 4002;
export const AUTHENTICATION_FAILED = 4009;
export const UNSUPPORTED_RPC_VERSION = 4010;
export const SESSION_INVALIDATED = 4011;
