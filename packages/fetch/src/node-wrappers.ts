/** Functions that `@ws/fetch/node` sets. `upgrade` does not import it. A bundle of `upgrade` has no server of Node. */
export const wrappers: {
  /** The `auth` of a result of `authenticate`: that of a result of `admit`, else the result itself. */
  authOf: (request: Request, result: unknown) => unknown;
} = { authOf: (_request, result) => result };
