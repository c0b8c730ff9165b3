// A WebSocket inside a function of Vercel, whose context has the socket of an upgrade.
import { Upgrader } from '@ws/node-server';

const answer = new Upgrader().handler((conn) => conn.receive((message) => conn.send(message)));

export function GET() {
  const context = globalThis[Symbol.for('@vercel/request-context')]?.get();
  const upgrade = context?.upgradeWebSocket;
  if (upgrade === undefined) return new Response('this host does not upgrade\n', { status: 501 });
  const { req, socket, head } = upgrade();
  // It answers refusals too.
  answer(req, socket, head);
  return new Response(null, { status: 204 });
}
