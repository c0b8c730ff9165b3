import { Deferred, isError, onRejection } from '@ws/conn/internal';
import { checkText, jsonOf, MAX_DELAY_MS } from '../arguments.ts';
import type { LocalHub } from '../backplane/local-hub.ts';
import type { Ask, CloseTarget } from '../backplane/words.ts';

/** Bound of the data of a question, and of an answer, in bytes of JSON. */
export const MAX_ANSWER_BYTES = 65_536;
/** Sessions that `everywhere.close` closes in one turn of the event loop. */
const CLOSE_BATCH = 64;
/** Longest name of an error's class, in UTF-16 units. */
const MAX_CLASS = 64;

/** The answer of one node to `everywhere.ask`: JSON, or the class of an error. */
export type NodeAnswer = { readonly answer: string } | { readonly failed: string };

/**
 * Closes the open sessions of the target on this node, a few in each turn. Never rejects. Resolves to
 * the number of closed sessions.
 */
export async function closeHere(
  hub: LocalHub,
  target: CloseTarget,
  code: number,
  reason: string,
): Promise<number> {
  const failed = (error: unknown): void =>
    hub.reportTogether('sessions could not be closed', error);
  let closed = 0;
  for (const session of hub.targets(target)) {
    if (session.state !== 'open') continue;
    try {
      onRejection(session.close(code, reason), failed);
    } catch (error) {
      // A connection that is no Conn may refuse the code.
      failed(error);
      continue;
    }
    if (++closed % CLOSE_BATCH === 0) {
      await new Promise<void>((next) => hub.platform.yield(next));
    }
  }
  return closed;
}

/**
 * Calls the listener of a question on this node. Never rejects.
 *
 * @returns Resolves to undefined when the listener has not settled after `timeout` ms.
 */
export async function askHere(hub: LocalHub, question: Ask): Promise<NodeAnswer | undefined> {
  const late = new Deferred<undefined>();
  const ms = Math.min(Math.max(question.timeout, 1), MAX_DELAY_MS);
  const cancel = hub.platform.setTimer(ms, () => late.resolve(undefined));
  const answer = await Promise.race([answerOf(hub, question), late.promise]);
  cancel();
  return answer;
}

async function answerOf(hub: LocalHub, { name, data }: Ask): Promise<NodeAnswer> {
  const listener = hub.askListeners.get(name);
  if (listener === undefined) return { failed: 'no listener' };
  try {
    const answer = await listener(data === undefined ? (undefined as never) : JSON.parse(data));
    const text = jsonOf(answer === undefined ? null : answer);
    checkText('answer of onAsk', text, 1, MAX_ANSWER_BYTES);
    return { answer: text };
  } catch (error) {
    hub.reportTogether('calls of listeners of onAsk failed', error);
    return { failed: classOf(error) };
  }
}

/** The class of an error. The message stays on this node. */
function classOf(error: unknown): string {
  if (!isError(error)) return 'Error';
  try {
    const { name } = error.constructor as { readonly name: unknown };
    if (typeof name === 'string' && name !== '' && name.length <= MAX_CLASS) return name;
  } catch {
    // A getter of the application may throw.
  }
  return 'Error';
}
