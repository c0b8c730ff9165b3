import { fromCaller } from '@ws/codec/internal';

/** Names that other APIs have, by what to write here instead. */
type Table = Readonly<Record<string, readonly string[]>>;

/** What `T` says of a name. */
type Say<T extends Table, Name> = {
  [Each in keyof T]: Name extends T[Each][number] ? Each : never;
}[keyof T];

/**
 * Methods that `ws`, socket.io, Bun or the DOM have, and an object of ours has not. Each throws a
 * TypeError that says what to write. The compiler says the same: no argument has the type of the
 * sentence.
 */
export type Habits<T extends Table> = {
  readonly [Name in T[keyof T][number]]: (...write: readonly Say<T, Name>[]) => never;
};

/** The same for properties. Their type is the sentence. */
export type Facts<T extends Table> = {
  readonly [Name in T[keyof T][number]]: Say<T, Name>;
};

/**
 * Adds {@link Habits} and {@link Facts} to an object or to the prototype of a class. Your code may
 * still set properties of these names. A class calls this for its first object: at the top of a module,
 * the call would keep the class in every bundle.
 *
 * @param owner - A name for the object in errors, for example `conn`.
 */
export function addHabits(target: object, owner: string, habits: Table, facts: Table = {}): true {
  for (const [name, say] of entriesOf(habits)) {
    const value = function (this: object): never {
      const error = new TypeError(`${owner}.${name}: ${say}`);
      fromCaller(error, this, name);
      throw error;
    };
    Object.defineProperty(target, name, { configurable: true, writable: true, value });
  }
  for (const [name, say] of entriesOf(facts)) {
    Object.defineProperty(target, name, {
      configurable: true,
      get(): never {
        throw new TypeError(`${owner}.${name}: ${say}`);
      },
      set(this: object, value: unknown) {
        const own = { configurable: true, enumerable: true, writable: true, value };
        Object.defineProperty(this, name, own);
      },
    });
  }
  return true;
}

/** Makes `conn.onclose = ...` and the like throw `say`. Such a property would never be called. */
export function refuseHandlers(target: object, say: string): true {
  for (const name of ['onclose', 'onerror', 'onopen']) {
    Object.defineProperty(target, name, {
      configurable: true,
      set(): never {
        throw new TypeError(`${name}: ${say}`);
      },
    });
  }
  return true;
}

function entriesOf(table: Table): [name: string, say: string][] {
  return Object.entries(table).flatMap(([say, names]) =>
    names.map((name): [string, string] => [name, say]),
  );
}
