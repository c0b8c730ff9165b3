/** Largest payload of a control frame, in bytes (RFC 6455, section 5.5). */
export const MAX_CONTROL_PAYLOAD = 125;
/** Longest reason of a close frame, in bytes of UTF-8: the code takes two (RFC 6455, section 5.5.1). */
export const MAX_CLOSE_REASON = 123;
/**
 * Largest payload in bytes whose length fits in the second byte of the header (RFC 6455, section
 * 5.2).
 */
export const MAX_SHORT_PAYLOAD = 125;
/** Largest payload in bytes whose length fits in 16 bits. */
export const MAX_16_BIT_PAYLOAD = 65_535;
