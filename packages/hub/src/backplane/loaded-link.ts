import type { PresenceLink } from '../presence/presence-link.ts';
import type { BackplaneLink } from './backplane-link.ts';

/**
 * The classes for a backplane, and for presence on several nodes; undefined until they are loaded. Only
 * a hub that needs them loads them.
 */
export const loadedLink: {
  Link: typeof BackplaneLink | undefined;
  PresenceLink: typeof PresenceLink | undefined;
} = { Link: undefined, PresenceLink: undefined };
