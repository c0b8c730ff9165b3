import type { Envelope } from './envelope.ts';
import type { Position } from './position.ts';

/**
 * A message that has arrived from the engine, of another node or of this one. With a digest it is
 * the record of a loss in a history.
 */
export interface Arrival {
  /** Undefined for a message that this version cannot read. */
  readonly envelope: Envelope | undefined;
  readonly position: Position | undefined;
  /** Offset of the previous message, if the engine's offsets have holes. */
  readonly previous?: number | undefined;
}

/** An arrival with a position in the history. */
export type Placed = Arrival & { readonly position: Position };

export function isPlaced(arrival: Arrival): arrival is Placed {
  return arrival.position !== undefined;
}
