import { Refusal, Status } from './fake-scenes.ts';
import { isObject } from './fake-session.ts';

/** A field of a request, as the protocol names it. */
export interface Field {
  readonly valueName: string;
  readonly valueType: string;
  readonly valueOptional: boolean;
}

/** By the type of a field: whether a value has it, and OBS's words for it. */
const TYPES: Readonly<Record<string, readonly [(value: unknown) => boolean, string]>> = {
  String: [(value) => typeof value === 'string', 'a string'],
  Number: [(value) => typeof value === 'number', 'a number'],
  Boolean: [(value) => typeof value === 'boolean', 'boolean'],
  Object: [isObject, 'an object'],
};

/** @throws Refusal unless `data` has the fields that are not optional, with their types. */
export function checkData(fields: readonly Field[], data: unknown): void {
  for (const { valueName, valueType, valueOptional } of fields) {
    if (valueOptional) continue;
    if (!isObject(data)) {
      const comment = 'Your request data is missing or invalid (non-object)';
      throw new Refusal(Status.MissingData, comment);
    }
    const value = data[valueName];
    if (value === undefined) {
      const comment = `Your request is missing the \`${valueName}\` field.`;
      throw new Refusal(Status.MissingField, comment);
    }
    const [isOfType, article] = TYPES[valueType] ?? [() => true, ''];
    const field = `The field value of \`${valueName}\``;
    if (!isOfType(value))
      throw new Refusal(Status.InvalidFieldType, `${field} must be ${article}.`);
    if (value === '') throw new Refusal(Status.InvalidFieldSize, `${field} must not be empty.`);
  }
}
