import type { Connection } from '../connection/connection.ts';
import type { Message } from '../message.ts';
import { handled } from '../time/promises.ts';
import { type WaitOptions, withTimeout } from '../time/wait.ts';
import { parseJSON, parseMessage } from './json.ts';
import type { StandardSchema } from './standard-schema.ts';

/** Reads the next message of `connection` as JSON: see `Conn.readJSON`. */
export function readJSON(
  connection: Connection,
  { schema, ...wait }: WaitOptions & { readonly schema?: StandardSchema | undefined },
): Promise<unknown> {
  const { platform, reader } = connection;
  const failed = (error: unknown): void => connection.report(error, 'readJSON');
  let reading: Promise<Message> | undefined;
  /** The message, while its schema is not done. */
  let unparsed: Message | undefined;
  /** Set when the wait ended after the message had arrived and before its schema began. */
  let cancelled: { readonly reason: unknown } | undefined;
  const parse = async (): Promise<unknown> => {
    try {
      reading = reader.readMessage('readJSON');
      const message = await reading;
      if (schema === undefined) return parseMessage(message);
      if (cancelled !== undefined) {
        reader.takeBack(message);
        throw cancelled.reason;
      }
      unparsed = message;
      try {
        return await parseJSON(message, schema, failed);
      } finally {
        unparsed = undefined;
      }
    } catch (error) {
      // Last, as in `Deferred.rejectWithCaller`: otherwise the stack would not name the caller.
      void handled(value);
      throw error;
    }
  };
  const value = withTimeout(platform, wait, parse, (_started, reason) => {
    if (unparsed !== undefined) reader.takeBack(unparsed);
    else if (!reader.giveUp(reading!, reason)) {
      cancelled = { reason };
      return false;
    }
    return true;
  });
  return value;
}
