/** The close codes of RFC 6455, section 7.4.1, and of the IANA registry, under gorilla/websocket's names. */
export const CloseCode = {
  NormalClosure: 1000,
  GoingAway: 1001,
  ProtocolError: 1002,
  UnsupportedData: 1003,
  /** Never on the wire: the close frame carried no code. */
  NoStatusReceived: 1005,
  /** Never on the wire: the connection ended without a close frame. */
  AbnormalClosure: 1006,
  InvalidFramePayloadData: 1007,
  PolicyViolation: 1008,
  MessageTooBig: 1009,
  MandatoryExtension: 1010,
  InternalServerErr: 1011,
  ServiceRestart: 1012,
  TryAgainLater: 1013,
  BadGateway: 1014,
  /** Never on the wire: the TLS handshake failed. */
  TLSHandshake: 1015,
} as const;

/**
 * Says whether `code` may stand in a close frame: 1000-1003, 1007-1014, 3000-4999.
 *
 * @see RFC 6455, section 7.4
 */
export function isValidCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  return (
    (code >= 1000 && code <= 1003) ||
    (code >= 1007 && code <= 1014) ||
    (code >= 3000 && code <= 4999)
  );
}
