/** Whether `serveFetch` or `crosswsAdapter` of `@ws/fetch/node` was called. */
export const wrappers: { any: boolean } = { any: false };
