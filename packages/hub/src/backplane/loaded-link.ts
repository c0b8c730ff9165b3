import type { PresenceLink } from '../presence/presence-link.ts';
import type { BackplaneLink } from './backplane-link.ts';

/**
 * The classes for a backplane, and for presence on several nodes. A hub that needs a class loads its
 * code. Undefined before that.
 */
export const loadedLink: {
  Link: typeof BackplaneLink | undefined;
  PresenceLink: typeof PresenceLink | undefined;
} = { Link: undefined, PresenceLink: undefined };
