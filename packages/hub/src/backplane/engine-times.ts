/**
 * Ms without an answer after which Redis or NATS counts as away. The hub waits longer for a
 * publication.
 */
export const ANSWER_MS = 4_000;
/** Interval of the checks of a connection, in ms. */
export const CHECK_MS = 5_000;
