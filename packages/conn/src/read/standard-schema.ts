/**
 * A validator as https://standardschema.dev describes it. The schemas of zod, valibot, arktype and
 * others are such validators.
 */
export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | PromiseLike<SchemaResult<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

/** What is wrong with a value, as https://standardschema.dev describes it. */
export interface SchemaIssue {
  readonly message: string;
  /** The way to the wrong part of the value: keys, or objects with a key. Absent for all of it. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly unknown[] };

/** The type of the value that a schema returns for valid input. */
export type SchemaOutput<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output'];
