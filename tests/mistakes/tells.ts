import { connPair } from '@ws/conn';
import { ReconnectingConn } from '@ws/node-client';
import { expect, it, onTestFinished } from 'vitest';

// oxlint-disable-next-line typescript/no-explicit-any -- what callers without types pass
export type Untyped = any;

/** A call, and words of its error. */
export type Mistake = [title: string, call: () => unknown, says: string];

export const h = (): void => {};
/** Nothing listens there. */
export const url = 'ws://127.0.0.1:9';

export function conn(): Untyped {
  return connPair({ server: { report: h }, client: { report: h } })[0];
}

export function live(): Untyped {
  const made = new ReconnectingConn(url, { report: h });
  onTestFinished(() => void made.close());
  return made;
}

export function tells(mistakes: readonly Mistake[]): void {
  it.each(mistakes)('says what is wrong: %s', async (_, call, says) => {
    await expect((async () => call())()).rejects.toThrow(says);
  });
}
