// In a file of its own, so that only --reconnect loads it.
export { reconnecting } from '@ws/node-client';
