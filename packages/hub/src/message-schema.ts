import {
  type BorrowedMessage,
  CloseCode,
  type JSONError,
  type SchemaOutput,
  type StandardSchema,
} from '@ws/conn';
import { checkSchemaOptions, kind, withValue } from '@ws/conn/internal';
import type { Session } from './session.ts';

/** How messages are validated for a listener of `message`. */
export interface MessageOptions<Data, S extends StandardSchema> {
  /** A Standard Schema (zod, valibot, ...): messages are JSON that fits it. */
  readonly schema: S;
  /**
   * Called for a message that is not JSON or does not fit; may be async, as a listener. Default:
   * closes the session with 1007.
   */
  readonly invalid?:
    | ((session: Session<Data>, error: JSONError, message: BorrowedMessage) => unknown)
    | undefined;
}

/** A listener of `message` that gets the value of each message. */
export type ValueListener<Data, S extends StandardSchema> = (
  session: Session<Data>,
  value: SchemaOutput<S>,
  message: BorrowedMessage,
) => unknown;

/**
 * The listener of `message` that validates messages for `listener`.
 *
 * @throws TypeError for another event, or that names the option.
 */
export function validating<Data, S extends StandardSchema>(
  event: string,
  listener: ValueListener<Data, S>,
  options: MessageOptions<Data, S>,
): (session: Session<Data>, message: BorrowedMessage) => unknown {
  if (event !== 'message') {
    throw new TypeError(`hub.on: only message takes options, not ${event}`);
  }
  checkSchemaOptions('hub.on', options);
  if (typeof listener !== 'function') {
    throw new TypeError(`hub.on: expected a function, got ${kind(listener)}`);
  }
  const { schema, invalid } = options;
  return (session, message) =>
    withValue(
      message,
      schema,
      (value) => listener(session, value, message),
      (error, reason) => {
        if (invalid !== undefined) return invalid(session, error, message);
        void session.close(CloseCode.InvalidFramePayloadData, reason);
        return undefined;
      },
    );
}
