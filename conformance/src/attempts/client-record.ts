import { Link } from '../model/link.ts';

/** Keys that a client has used in a run so far. The suite compares them across its connections. */
export class ClientRecord {
  /** `Sec-WebSocket-Key` of each request, in the order of the connections. */
  readonly keys: string[] = [];
  /** The network to the client. */
  readonly link: Link = new Link();
  /** The masking keys of each connection's frames, big-endian. */
  readonly maskKeys: (readonly number[])[] = [];
}
