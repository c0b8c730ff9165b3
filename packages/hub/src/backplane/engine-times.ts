/**
 * Longest time for an answer of Redis or NATS, in ms. After it, the server counts as away. The hub
 * waits longer for a publication.
 */
export const ANSWER_MS = 4_000;
/** Interval of the checks of a connection, in ms. */
export const CHECK_MS = 5_000;
