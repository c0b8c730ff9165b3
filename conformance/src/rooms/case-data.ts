import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Attempt } from '../model/attempt.ts';
import type { Case } from '../model/case.ts';
import type { Weight } from '../model/weights.ts';

/** One step of a case; `rooms.schema.json` describes its members. */
export interface Step {
  /** The connection of the suite, if a case has several. Default: `a`. */
  readonly on?: string;
  /** Sends a message; a text is sent as it is. */
  readonly send?: unknown;
  /** Number of times that `send` is sent, with `{n}` from 1. Default: 1. */
  readonly times?: number;
  /** Sends these bytes, in hex, as a binary message. */
  readonly binary?: string;
  /** Waits for a message with these members, or for each of a list in any order. */
  readonly expect?: unknown;
  /** Messages with these members may come before, at most {@link most}. */
  readonly skip?: unknown;
  readonly most?: number;
  /** Waits for a line of the client under test with these members. */
  readonly print?: unknown;
  /** Keeps what was expected under this name. */
  readonly as?: string;
  /** Closes the connection with this code. */
  readonly close?: number;
  /** Resets the connection. */
  readonly cut?: true;
  /** Waits so many ms. */
  readonly wait?: number;
  /** Waits for the next connection of a client, no earlier and no later than these ms after the end of the last one. */
  readonly dial?: readonly [least: number, most: number];
  /** Refuses the next connection of a client with this status. */
  readonly refuse?: number;
  /** `Retry-After` of {@link refuse}, in s. */
  readonly retryAfter?: number;
  /** Asks the client under test to do something; it gets the whole step. */
  readonly do?: string;
}

/** A case of `rooms.json`. */
export interface CaseData {
  readonly id: string;
  readonly title: string;
  readonly weight: Weight;
  readonly steps: readonly Step[];
}

/** A case of the suite from its data. */
export function caseOf<Context extends Attempt>(
  { id, title, weight, steps }: CaseData,
  run: (attempt: Context, steps: readonly Step[]) => Promise<void>,
): Case<Context> {
  return {
    id,
    chapter: 0,
    title,
    expects: 'what its steps say',
    section: 'docs/wire.md',
    level: 'must',
    weight,
    flood: false,
    target: undefined,
    run: (attempt) => run(attempt, steps),
  };
}

const MIB = 1024 * 1024;

/**
 * The names of one run of a case: `{run}`, 22 fresh characters; `{mib}` and `{half}`, texts of 1 MiB and half of
 * it; and what its steps keep.
 */
export class Names {
  readonly #values: Record<string, unknown> = {
    run: randomBytes(16).toString('base64url'),
    mib: 'm'.repeat(MIB),
    half: 'h'.repeat(MIB / 2),
  };

  set(name: string, value: unknown): void {
    this.#values[name] = value;
  }

  /** Replaces names in all texts of a value. A text that is one name becomes the value itself. */
  fill(value: unknown): unknown {
    if (typeof value === 'string') {
      const whole = /^\{([\w.$]+)\}$/.exec(value)?.[1];
      if (whole !== undefined) return this.#get(whole);
      return value.replaceAll(/\{([\w.$]+)\}/g, (_, path: string) => String(this.#get(path)));
    }
    if (Array.isArray(value)) return value.map((one) => this.fill(one));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, this.fill(one)]));
  }

  #get(path: string): unknown {
    if (path === 'any' || path === 'none') return `{${path}}`;
    let value: unknown = this.#values;
    for (const name of path.split('.')) value = Object(value)[name] as unknown;
    return value;
  }
}

/** Whether a value has all members of a pattern. `{any}` fits any value, `{none}` only a missing one. */
export function fits(value: unknown, pattern: unknown): boolean {
  if (pattern === '{any}') return value !== undefined;
  if (pattern === '{none}') return value === undefined;
  if (typeof pattern !== 'object' || pattern === null) return isDeepStrictEqual(value, pattern);
  if (Array.isArray(pattern) && (!Array.isArray(value) || value.length !== pattern.length)) {
    return false;
  }
  return Object.entries(pattern).every(([key, one]) => fits(Object(value)[key], one));
}
