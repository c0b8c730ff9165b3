// The same without objects.
import { upgrade } from '@ws/fetch/workers';

const ends = [];

export default {
  fetch(request) {
    if (new URL(request.url).pathname === '/ends') return Response.json(ends);
    return upgrade(request, {}, async (conn) => {
      await conn.receive((message) => conn.send(message)).catch(() => {});
      const { code, reason, wasClean } = await conn.closed;
      ends.push({ code, reason, wasClean });
    });
  },
};
