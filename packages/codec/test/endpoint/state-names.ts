/** The states and the events of `src/endpoint/states.ts`, by number. */
export const STATE_NAMES = [
  'OPEN',
  'CLOSE_RECEIVED',
  'PEER_ENDED',
  'RECEIVED_ENDED',
  'CLOSE_SENT',
  'BOTH',
  'FAILED',
  'OVER',
  'DESTROYED',
  'CLOSED',
] as const;

export const EVENT_NAMES = [
  'we close',
  'we fail',
  "the peer's close frame",
  "the peer's end",
  'a broken rule',
  'our answer is due',
  'destroy',
  'the transport has closed',
] as const;
