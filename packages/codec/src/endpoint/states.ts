// The states of one end of a connection (RFC 6455, sections 5.5.1 and 7). This file decides what may be
// sent, what is parsed and who ends the transport. Time is not in it, nor are messages.

import type { Role } from '../protocol.ts';

// States. A connection only moves down this list.

/** Neither end has closed. */
export const OPEN = 0;
/** The peer's close frame was parsed. The messages before it may still be answered. */
export const CLOSE_RECEIVED = 1;
/** The peer's stream has ended without a close frame. Its messages may still be answered. */
const PEER_ENDED = 2;
/** The peer's stream has ended after its close frame. Its messages may still be answered. */
const RECEIVED_ENDED = 3;
/** Our close frame is queued. The peer has not sent one. */
export const CLOSE_SENT = 4;
/** Both close frames exist. */
const BOTH = 5;
/** We have failed the connection (section 7.1.7). */
const HAS_FAILED = 6;
/** The peer's stream has ended, and nothing more follows of ours. */
export const OVER = 7;
/** The transport is destroyed, and has not reported its close. */
export const DESTROYED = 8;
/** The transport is closed. */
export const CLOSED = 9;

export type State = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;

// Events. The peer's events come in the order of its bytes: a FIN is an event once all input is parsed.
// `Machine.lookAhead` is the exception. It is for an answer that no longer waits for a reader.

/** The application closes (section 7.1.2). */
export const WE_CLOSE = 0;
/** The application fails the connection, for example because a handler threw (section 7.1.7). */
export const WE_FAIL = 1;
/** A close frame was parsed (section 5.5.1). */
export const PEER_CLOSE = 2;
/** The peer has ended its side of the transport, and all input is parsed (section 7.1.5: 1006). */
export const PEER_END = 3;
/** The peer broke a rule (section 7.1.7). A close frame with a bad payload is a broken rule. */
export const BROKEN_RULE = 4;
/** The application has handled the last message: our answer is due (section 5.5.1). */
export const ANSWER = 5;
/** The transport is destroyed. */
export const DESTROY = 6;
/** The transport has closed. */
export const GONE = 7;

export type StateEvent = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

// The close frame that an event sends. No close frame follows another one.

export const NO_FRAME = 0;
/** The payload that comes with the event. */
export const OURS = 1;
/** The code of the peer's close frame (section 5.5.1). */
export const ECHO = 2;

interface Cell {
  readonly to: State;
  readonly frame: typeof NO_FRAME | typeof OURS | typeof ECHO;
}

type Row = { readonly [Event in StateEvent]?: Cell };

const to = (state: State, frame: Cell['frame'] = NO_FRAME): Cell => ({ to: state, frame });

/** `TABLE[state][event]`. Without a cell, the event changes nothing and sends nothing. */
export const TABLE: readonly Row[] = /* @__PURE__ */ rows();

// A call, because a bundler cannot drop an unused literal with computed keys.
function rows(): Row[] {
  /** From these states the transport may be destroyed. */
  const ANY: Row = { [DESTROY]: to(DESTROYED), [GONE]: to(CLOSED) };
  return [
    // OPEN
    {
      [WE_CLOSE]: to(CLOSE_SENT, OURS), // 7.1.2
      [WE_FAIL]: to(HAS_FAILED, OURS), // 7.1.7: a close frame should come first
      [PEER_CLOSE]: to(CLOSE_RECEIVED), // 5.5.1: the answer may wait for the message under way
      [PEER_END]: to(PEER_ENDED), // 7.1.5: 1006. Half of the transport is open: 7.2.1 is about a lost one
      [BROKEN_RULE]: to(HAS_FAILED, OURS), // 7.1.7
      ...ANY,
    },
    // CLOSE_RECEIVED
    {
      [WE_CLOSE]: to(BOTH, OURS), // 5.5.1: typically an echo, but it may be any code
      [WE_FAIL]: to(HAS_FAILED, OURS), // 7.1.7
      [PEER_END]: to(RECEIVED_ENDED),
      [BROKEN_RULE]: to(HAS_FAILED, OURS), // 7.1.7: in the input before a close frame that was seen ahead
      [ANSWER]: to(BOTH, ECHO), // 5.5.1
      ...ANY,
    },
    // PEER_ENDED
    {
      [WE_CLOSE]: to(OVER, OURS), // 7.1.2: half of the transport is open
      [WE_FAIL]: to(OVER, OURS), // 7.1.7
      [BROKEN_RULE]: to(OVER, OURS), // 7.1.7: in the input before an end that was seen ahead
      [ANSWER]: to(OVER), // there is no close frame to answer
      ...ANY,
    },
    // RECEIVED_ENDED
    {
      [WE_CLOSE]: to(OVER, OURS), // 5.5.1
      [WE_FAIL]: to(OVER, OURS), // 7.1.7
      [BROKEN_RULE]: to(OVER, OURS), // 7.1.7
      [ANSWER]: to(OVER, ECHO), // 5.5.1
      ...ANY,
    },
    // CLOSE_SENT
    {
      [PEER_CLOSE]: to(BOTH), // 7.1.4: clean, once the transport closes
      [PEER_END]: to(OVER), // 7.1.5: 1006
      [BROKEN_RULE]: to(HAS_FAILED), // 5.5.1: no frame follows our close frame
      ...ANY,
    },
    // BOTH
    { [PEER_END]: to(OVER), ...ANY }, // 7.1.1
    // HAS_FAILED
    { [PEER_END]: to(OVER), ...ANY }, // 7.1.1
    // OVER
    ANY,
    // DESTROYED
    { [GONE]: to(CLOSED) },
    // CLOSED
    {},
  ];
}

/** Whether frames may be sent: before our close frame (section 5.5.1), and before a failure. */
export function maySend(state: State): boolean {
  return state < CLOSE_SENT;
}

/** Whether the peer's next bytes are parsed: not after its close frame or a failure (5.5.1, 7.1.7). */
export function takesInput(state: State): boolean {
  return state === OPEN || state === CLOSE_SENT;
}

/** Whether our side of the transport ends after our last frame (section 7.1.1: the server is first). */
export function endsOurSide(state: State, role: Role): boolean {
  return state === HAS_FAILED || state === OVER || (state === BOTH && role === 'server');
}
