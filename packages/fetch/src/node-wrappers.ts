/** The time at which the login of a request expires, for {@link wrappers}. */
export type Expires = Date | number | undefined;

/** What `@ws/fetch/node` has that `upgrade` does not import. */
export const wrappers: {
  /** Whether `serveFetch` or `crosswsAdapter` was called. */
  isWrapped: boolean;
  /** The `auth` of a result of `authenticate`: that of a result of `admit`, else the result itself. */
  authOf: (request: Request, result: unknown) => unknown;
} = { isWrapped: false, authOf: (_request, result) => result };
