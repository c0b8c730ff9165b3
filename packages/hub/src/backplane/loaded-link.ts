import type { BackplaneLink } from './backplane-link.ts';

/**
 * The code for a backplane, if it is loaded already. Otherwise a hub loads it when it has a
 * backplane, so hubs on one node do without it.
 */
export const loadedLink: { Link: typeof BackplaneLink | undefined } = { Link: undefined };
