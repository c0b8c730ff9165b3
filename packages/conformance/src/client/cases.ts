import type { Case } from '../model/case.ts';
import type { ClientAttempt } from '../run/client-attempt.ts';
import { framing } from './framing.ts';

/** The questions to a client, in the order of their ids. */
export const clientCases: readonly Case<ClientAttempt>[] = [framing].flatMap(({ cases }) => cases);
