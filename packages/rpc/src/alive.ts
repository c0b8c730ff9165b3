import { type Id, resultText } from './wire.ts';

/**
 * The request with which a page finds out that its connection is dead: a page has no pings. Any message
 * is an answer.
 */
export const ALIVE = '$/alive';
/** The question of a page. No call of this end has such an id. */
export const QUESTION: string = JSON.stringify({ jsonrpc: '2.0', id: ALIVE, method: ALIVE });
/** The event that an end sends while it does not read, to a peer that has asked. */
export const SIGN_OF_LIFE: string = JSON.stringify({ jsonrpc: '2.0', method: ALIVE });
/** Interval of these events, in ms. */
export const SIGN_MS = 2_000;

/** The answer to a question. */
export function aliveText(id: Id): string {
  return resultText(id, null);
}
