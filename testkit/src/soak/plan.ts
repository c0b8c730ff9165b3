/** What is compressed: nothing, all in one way, or each way on a server of its own. */
export type CompressionMode = 'off' | 'shared' | 'takeover' | 'mixed';

/** The values of {@link CompressionMode}. */
export const COMPRESSION_MODES: readonly CompressionMode[] = ['off', 'shared', 'takeover', 'mixed'];

/** What a soak does. */
export interface Plan {
  /** How many connections are open at a time, those that are not good among them. */
  readonly connections: number;
  /** How long they come and go, once all have come and gone once. */
  readonly seconds: number;
  /** Of all that is random. */
  readonly seed: number;
  /** Over TLS. */
  readonly secure: boolean;
  readonly compression: CompressionMode;
  /** The server is given a fault of every kind, to show that the verdict tells of it. Default: false. */
  readonly faulty?: boolean;
}

/** A server that clients dial. */
export interface Address {
  readonly url: string;
  /** It agrees to permessage-deflate. */
  readonly compresses: boolean;
}

/** The limit of open files of this process and of its children; Node raises the soft one to the hard one by itself. */
export function openFiles(): number {
  const { userLimits } = process.report.getReport() as {
    userLimits?: { open_files?: { soft: number | string } };
  };
  const limit = Number(userLimits?.open_files?.soft);
  return Number.isFinite(limit) ? limit : Infinity;
}

/** How many connections a soak keeps open: 10,000, or as many as the limit of open files allows with room to spare. */
export function connectionsFor(files: number): number {
  return Math.min(10_000, Math.floor(0.4 * files));
}

/** How many of a plan's connections have to be there: some are on their way at any time. */
export function nearlyAll({ connections }: Pick<Plan, 'connections'>): number {
  return Math.floor(connections * 0.9);
}
