/** What a client has shown in a run so far: its keys are judged over all of its connections. */
export class ClientRecord {
  /** `Sec-WebSocket-Key` of each request, in the order of the connections. */
  readonly keys: string[] = [];
  /** The masking keys of each connection's frames, big-endian. */
  readonly maskKeys: (readonly number[])[] = [];
}
