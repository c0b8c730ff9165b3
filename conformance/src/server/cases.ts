import type { ServerAttempt } from '../attempts/server-attempt.ts';
import { closing } from '../chapters/closing.ts';
import { compression } from '../chapters/compression.ts';
import { endsAmongLarge } from '../chapters/connection-ends.ts';
import { floods } from '../chapters/floods.ts';
import { fragmentation } from '../chapters/fragmentation.ts';
import { framing } from '../chapters/framing.ts';
import { limits } from '../chapters/limits.ts';
import { opcodes } from '../chapters/opcodes.ts';
import { pings } from '../chapters/pings.ts';
import { reserved } from '../chapters/reserved.ts';
import { segmentation } from '../chapters/segmentation.ts';
import { utf8Texts } from '../chapters/utf8.ts';
import type { Case } from '../model/case.ts';
import { type Chapter, casesOf } from '../model/chapter.ts';
import { serverClosing } from './closing.ts';
import { serverFloods } from './floods.ts';
import { handshake } from './handshake.ts';
import { http2Handshake } from './http2-handshake.ts';
import { masks } from './masks.ts';
import { parameters } from './parameters.ts';
import { tls } from './tls.ts';

const chapters: readonly Chapter<ServerAttempt>[] = [
  framing(),
  pings(),
  reserved(),
  opcodes(),
  fragmentation(),
  utf8Texts(),
  endsAmongLarge(serverClosing(closing())),
  handshake(),
  serverFloods(floods(limits())),
  segmentation(),
  masks(),
  compression(),
  parameters(),
  tls(),
  http2Handshake(),
];

/**
 * All cases for servers in the order of their ids: chapters for both roles and for servers only.
 */
export const serverCases: readonly Case<ServerAttempt>[] = casesOf('server', chapters);
