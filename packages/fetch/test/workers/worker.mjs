// The same without objects.
import { upgrade, upgradeWebSocket } from '@ws/fetch/workers';
import { Hono } from 'hono';

const ends = [];

export const address = (request) =>
  upgrade(request, {}, (conn) => conn.send(String(conn.remoteAddr)));

const keepEnd = async (conn) => ends.push(await conn.closed);

/** Upgrades whose Response is not returned. */
const forgotten = {
  async '/forgotten'(request) {
    await upgrade(request, {}, keepEnd);
    return new Response('hello');
  },
  async '/forgotten-reported'(request) {
    await upgrade(request, { report }, keepEnd);
    return new Response('hello');
  },
};
const reports = [];
function report({ message }, { where }) {
  reports.push(`${where}: ${message}`);
}

const hono = new Hono().get(
  '/hono',
  upgradeWebSocket(() => ({ onmessage() {} }), { report }),
);

export default {
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/ends') return Response.json(ends);
    if (pathname === '/reports') return Response.json(reports);
    if (pathname === '/address') return address(request);
    if (pathname === '/hono') return hono.fetch(request);
    if (forgotten[pathname]) return forgotten[pathname](request);
    return upgrade(request, {}, async (conn) => {
      await conn.receive((message) => conn.send(message)).catch(() => {});
      const { code, reason, wasClean } = await conn.closed;
      ends.push({ code, reason, wasClean });
    });
  },
};
