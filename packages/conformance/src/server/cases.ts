import { framing } from '../chapters/framing.ts';
import type { Case } from '../model/case.ts';
import type { ServerAttempt } from '../run/server-attempt.ts';

/** The questions to a server, in the order of their ids: the chapters for both roles, and a server's own. */
export const serverCases: readonly Case<ServerAttempt>[] = [framing<ServerAttempt>()].flatMap(
  ({ cases }) => cases,
);
