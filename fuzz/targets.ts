import type { Target } from './harness/target.ts';
import { apiSequence } from './targets/api-sequence.ts';
import { clientReply } from './targets/client-reply.ts';
import { closePayload } from './targets/close-payload.ts';
import { extensionsHeader } from './targets/extensions-header.ts';
import { frameHeader } from './targets/frame-header.ts';
import { frameStream } from './targets/frame-stream.ts';
import { inflate } from './targets/inflate.ts';
import { requestHead } from './targets/request-head.ts';
import { responseHead } from './targets/response-head.ts';
import { serverHandshake } from './targets/server-handshake.ts';
import { subprotocolHeader } from './targets/subprotocol-header.ts';
import { twoConnections } from './targets/two-connections.ts';
import { utf8 } from './targets/utf8.ts';

/** All targets, from frames to connections. */
export const targets: readonly Target[] = [
  frameHeader(),
  frameStream(),
  utf8(),
  closePayload(),
  extensionsHeader(),
  subprotocolHeader(),
  requestHead(),
  responseHead(),
  serverHandshake(),
  clientReply(),
  inflate(),
  apiSequence(),
  twoConnections(),
];
