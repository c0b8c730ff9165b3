// The program in a Durable Object: there its rooms work.
import { DurableObject } from 'cloudflare:workers';
import { admit, hibernating } from '@ws/fetch/workers';
import app from './app.mjs';

export class Room extends DurableObject {
  fetch(request) {
    return app.fetch(request, this.env);
  }
}

let made = 0;

export class Sleeper extends hibernating({
  autoResponse: { request: 'ping', response: 'pong' },
  authenticate: (request) =>
    admit({ name: new URL(request.url).searchParams.get('name') ?? '', since: 1 }),
  subprotocols: ['chat'],
  report: () => {},
  open: (conn) => conn.send(`hello ${conn.data.name} by ${conn.subprotocol}`),
  message(conn, message, room) {
    if (message === 'throw') throw new Error('boom');
    if (message === 'made') return conn.send(`made ${made}`);
    if (message === 'count') {
      conn.data = { ...conn.data, count: (conn.data.count ?? 0) + 1 };
      return conn.send(`${conn.data.name} ${conn.data.count}`);
    }
    if (message === 'big') {
      try {
        conn.data = { name: 'x'.repeat(20_000) };
      } catch (error) {
        return conn.send(error.name);
      }
    }
    if (message === 'leave') return conn.close(4001, 'bye');
    for (const each of room.connections()) each.send(message);
  },
  close(_conn, { code, reason }, room) {
    for (const each of room.connections()) each.send(`left ${code} ${reason}`);
  },
}) {
  constructor(ctx, env) {
    super(ctx, env);
    made++;
  }
}

export default {
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    const objects = pathname === '/sleeper' ? env.SLEEPER : env.ROOM;
    return objects.get(objects.idFromName('all')).fetch(request);
  },
};
