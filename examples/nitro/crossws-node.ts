// Put in the place of crossws/adapters/node by an alias.
export { crosswsAdapter as default } from '@ws/fetch/node';
