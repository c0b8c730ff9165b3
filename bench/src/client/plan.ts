/** What a load does, as its processes are told. */
export interface LoadPlan {
  readonly url: string;
  readonly connections: number;
  /** Bytes of each message. */
  readonly payload: number;
  readonly text: boolean;
  /** The most messages in flight on each connection. */
  readonly depth: number;
  /** Messages per second, of all connections together; undefined: as many as come back. */
  readonly rate: number | undefined;
  readonly durationMs: number;
  /** An echo that takes longer is an error, and so is a handshake. */
  readonly timeoutMs: number;
  readonly compression: boolean;
  /** Whether a certificate that nobody vouches for will do. */
  readonly insecure: boolean;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly subprotocols: readonly string[];
}

/** The part of a load that one process has: connections `index`, `index + of`, `index + 2 * of`, and so on. */
export interface Share {
  readonly plan: LoadPlan;
  readonly index: number;
  readonly of: number;
}

/** How many connections a share has. */
export function connectionsOf({ plan, index, of }: Share): number {
  return Math.max(0, Math.ceil((plan.connections - index) / of));
}
