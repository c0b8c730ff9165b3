/** The options of a load, as its processes receive them. */
export interface LoadPlan {
  readonly url: string;
  readonly connections: number;
  /** Bytes of each message. */
  readonly payload: number;
  readonly text: boolean;
  /** Maximum number of messages in flight on each connection. */
  readonly depth: number;
  /** Messages per second of all connections together; undefined for a closed loop. */
  readonly rate: number | undefined;
  readonly durationMs: number;
  /** Limit for a handshake and for an echo, in ms. */
  readonly timeoutMs: number;
  readonly compression: boolean;
  /** Whether any certificate is accepted. */
  readonly insecure: boolean;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly subprotocols: readonly string[];
}

/**
 * The part of a load in one process: connections `index`, `index + of`, `index + 2 * of`, and so
 * on.
 */
export interface Share {
  readonly plan: LoadPlan;
  readonly index: number;
  readonly of: number;
}

/** Number of connections of a share. */
export function connectionsOf({ plan, index, of }: Share): number {
  return Math.max(0, Math.ceil((plan.connections - index) / of));
}
