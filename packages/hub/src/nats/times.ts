/**
 * Longest time for an answer, in ms: shorter than the hub waits for a publication. After that the
 * server counts as away.
 */
export const ANSWER_MS = 4_000;
/** Time between two checks that the server answers, in ms. */
export const CHECK_MS = 5_000;
