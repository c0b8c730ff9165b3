/** The hook of crossws that `crosswsAdapter` calls. */
export interface CrosswsHooks {
  /** Returns or throws a Response, from `upgrade` or to refuse. */
  readonly upgrade?: ((request: Request) => unknown) | undefined;
}

/**
 * Adds the property `crossws`, by which h3 and Nitro find the hooks of a route: they show an adapter
 * nothing else of a Response.
 */
export function withHooks(response: Response): Response {
  const crossws: CrosswsHooks = { upgrade: () => response };
  return Object.assign(response, { crossws });
}
