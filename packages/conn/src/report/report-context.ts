import type { Role } from '@ws/codec';

/** The facts of a connection that a report needs. The object is the `Conn`. */
export interface ReportedConn {
  readonly role: Role;
  readonly subprotocol: string;
  readonly localAddr: string | undefined;
  readonly remoteAddr: string | undefined;
}

/** Where an error comes from: the second argument of the option `report`. */
export interface ReportContext {
  /** The connection; undefined for an error that concerns none, or several. */
  readonly conn?: ReportedConn | undefined;
  /**
   * The method that got a wrong argument, or the application's function that failed: `writeJSON`,
   * `receive`, `ping handler`, `writeBufferPool`, ...
   */
  readonly where: string;
  /** On a server: the route of the connection or of the request, if one has matched. */
  readonly route?: string | undefined;
  /** On a server: the status with which the request is refused. */
  readonly status?: number | undefined;
}
