import type { Case } from '../model/case.ts';
import type { ServerAttempt } from '../run/server-attempt.ts';
import { framing } from './framing.ts';

/** The questions to a server, in the order of their ids. */
export const serverCases: readonly Case<ServerAttempt>[] = [framing].flatMap(({ cases }) => cases);
