/** The close codes of RFC 6455, section 7.4.1, and of the IANA registry, under gorilla/websocket's names. */
export const CloseCode = {
  /** What the connection was for is done. */
  NormalClosure: 1000,
  /** A server goes down, or a browser leaves the page. */
  GoingAway: 1001,
  /** The peer's frames break the protocol. */
  ProtocolError: 1002,
  /** A kind of data that this endpoint cannot take, binary where it wants text for example. */
  UnsupportedData: 1003,
  /** Never on the wire: the close frame carried no code. */
  NoStatusReceived: 1005,
  /** Never on the wire: the connection ended without a close frame. */
  AbnormalClosure: 1006,
  /** The data is not what its type says: a text that is no UTF-8, a compressed message that is no DEFLATE. */
  InvalidFramePayloadData: 1007,
  /** Against the rules of this endpoint, where no other code fits. */
  PolicyViolation: 1008,
  /** The message is larger than this endpoint takes. */
  MessageTooBig: 1009,
  /** From a client: the server did not agree to an extension that it needs. */
  MandatoryExtension: 1010,
  /** Something went wrong here that the peer has no part in. */
  InternalServerErr: 1011,
  /** The server restarts: come back after a pause of your own, 5 to 30 s by chance. */
  ServiceRestart: 1012,
  /** The server has too much to do. */
  TryAgainLater: 1013,
  /** A gateway got no valid answer from the server behind it. */
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
