import type { ClientAttempt } from '../attempts/client-attempt.ts';
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
import { clientClosing } from './closing.ts';
import { handshake } from './handshake.ts';
import { masks } from './masks.ts';
import { parameters } from './parameters.ts';
import { tls } from './tls.ts';

const chapters: readonly Chapter<ClientAttempt>[] = [
  framing(),
  pings(),
  reserved(),
  opcodes(),
  fragmentation(),
  utf8Texts(),
  endsAmongLarge(clientClosing(closing())),
  handshake(),
  floods(limits()),
  segmentation(),
  masks(),
  compression(),
  parameters(),
  tls(),
];

/**
 * All cases for clients in the order of their ids: chapters for both roles and for clients only.
 */
export const clientCases: readonly Case<ClientAttempt>[] = casesOf('client', chapters);
