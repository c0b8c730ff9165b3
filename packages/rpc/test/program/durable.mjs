// The program in a Durable Object that stays awake.
import { DurableObject } from 'cloudflare:workers';
import app from './app.mjs';

export class Room extends DurableObject {
  fetch(request) {
    return app.fetch(request, this.env);
  }
}

/** The configuration of the tests names two classes. */
export class Sleeper extends DurableObject {}

export default {
  fetch: (request, env) => env.ROOM.get(env.ROOM.idFromName('one')).fetch(request),
};
