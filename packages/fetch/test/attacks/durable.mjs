import { DurableObject } from 'cloudflare:workers';
import { admit, hibernating } from '@ws/fetch/workers';
import app from './app.mjs';

export class Room extends DurableObject {
  fetch(request) {
    return app.fetch(request, this.env);
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Sleeper extends hibernating({
  authenticate: (request) =>
    admit({ name: new URL(request.url).searchParams.get('name') ?? '', since: 1 }),
  maxQueuedBytes: 64 * 1024,
  report: (error) => console.log(`reported ${String(error)}`),
  open(conn) {
    if (conn.data.name === 'open throws') throw new Error('open');
  },
  async message(conn, message, room) {
    if (message === 'names') {
      return conn.send(
        room
          .connections()
          .map(({ data }) => data.name)
          .join(),
      );
    }
    if (message === 'states') {
      return conn.send(
        room
          .connections()
          .map(({ state }) => state)
          .join(),
      );
    }
    if (message === 'bad code') {
      for (const use of [
        () => conn.close(999),
        () => conn.close(1005),
        () => conn.close(1000, 'x'.repeat(124)),
      ]) {
        try {
          use();
          conn.send('no error');
        } catch (error) {
          conn.send(error.name);
        }
      }
      return;
    }
    if (message === 'to all') {
      return conn.send(
        room
          .connections()
          .map((each) => each.send('all'))
          .join(),
      );
    }
    if (message === 'block') return sleep(1_000);
    await sleep(Math.random() * 4);
    for (const each of room.connections()) {
      if (each.data.name === 'watcher') each.send(`${conn.data.name} ${String(message)}`);
    }
  },
  close(conn, { code }, room) {
    for (const each of room.connections()) {
      if (each.data.name === 'watcher') each.send(`${conn.data.name} left ${code}`);
    }
    if (conn.data.name === 'close throws') throw new Error('close');
  },
}) {}

export default {
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    const objects = pathname === '/sleeper' ? env.SLEEPER : env.ROOM;
    return objects.get(objects.idFromName('all')).fetch(request);
  },
};
