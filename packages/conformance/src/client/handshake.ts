import { Chapter } from '../model/chapter.ts';
import type { ClientAttempt } from '../run/client-attempt.ts';
import { answerBytes } from './answer-bytes.ts';
import { httpFields } from './http-fields.ts';
import { offers } from './offers.ts';
import { request } from './request.ts';
import { status } from './status.ts';
import { upgradeFields } from './upgrade-fields.ts';

/** Chapter 8 for clients: what they ask, and what they make of every answer. */
export function handshake(): Chapter<ClientAttempt> {
  const chapter = new Chapter<ClientAttempt>(8);
  request(chapter);
  status(chapter);
  upgradeFields(chapter);
  offers(chapter);
  httpFields(chapter);
  answerBytes(chapter);
  return chapter;
}
