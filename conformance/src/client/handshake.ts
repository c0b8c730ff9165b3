import type { ClientAttempt } from '../attempts/client-attempt.ts';
import { Chapter } from '../model/chapter.ts';
import { answerBytes } from './answer-bytes.ts';
import { httpFields } from './http-fields.ts';
import { offers } from './offers.ts';
import { request, targets } from './request.ts';
import { status } from './status.ts';
import { upgradeFields } from './upgrade-fields.ts';

/**
 * Creates chapter 8 for clients: their request, and their reaction to valid and invalid answers.
 */
export function handshake(): Chapter<ClientAttempt> {
  const chapter = new Chapter<ClientAttempt>(8);
  request(chapter);
  status(chapter);
  upgradeFields(chapter);
  offers(chapter);
  httpFields(chapter);
  answerBytes(chapter);
  targets(chapter);
  return chapter;
}
