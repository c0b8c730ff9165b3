import type { PresenceLink } from '../presence/presence-link.ts';
import type { BackplaneLink } from './backplane-link.ts';

/**
 * The code for a backplane, and for presence on several nodes, if it is loaded already. Otherwise a hub
 * loads it when it has a backplane, and rooms with presence, so other hubs do without it.
 */
export const loadedLink: {
  Link: typeof BackplaneLink | undefined;
  PresenceLink: typeof PresenceLink | undefined;
} = { Link: undefined, PresenceLink: undefined };
