import { framing } from '../chapters/framing.ts';
import type { Case } from '../model/case.ts';
import type { ClientAttempt } from '../run/client-attempt.ts';

/**
 * The questions to a client, in the order of their ids: the chapters for both roles, from `chapters/`, and a client's
 * own, which stand beside this file: its handshake, the keys it masks with, what it answers to a server's parameters.
 */
export const clientCases: readonly Case<ClientAttempt>[] = [framing<ClientAttempt>()].flatMap(
  ({ cases }) => cases,
);
