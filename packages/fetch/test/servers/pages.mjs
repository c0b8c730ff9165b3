// Pages and logins that the wrappers of Bun and Deno answer.
import { gzipSync } from 'node:zlib';
import { refuse, upgrade } from '@ws/fetch';

/** The port of each server, by its name. */
export const ports = {};

/** A login of another server, whose answers are compressed. */
export function service(_request, _info) {
  const headers = { 'Content-Encoding': 'gzip', 'WWW-Authenticate': 'Bearer' };
  return new Response(gzipSync('who are you?'), { status: 401, headers });
}

const askService = () => fetch(`http://127.0.0.1:${ports.service}/`);

const streamOf = (...texts) =>
  new ReadableStream({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      const text = texts.shift();
      if (text === undefined) controller.close();
      else controller.enqueue(new TextEncoder().encode(text));
    },
  });

const wrong = { headers: { 'Content-Length': '5' } };
let kept;

/** Responses with a length that is not that of the body, by their paths. */
const bodies = {
  '/long': () => new Response('hello world', wrong),
  '/short': () => new Response('hi', wrong),
  '/none': () => new Response(null, wrong),
  '/204': () => new Response(null, { ...wrong, status: 204 }),
  '/304': () => new Response(null, { ...wrong, status: 304 }),
  '/stream': () => new Response(streamOf('hello', ' world')),
  '/kept': () => (kept ??= new Response('page')),
  '/json': (request) =>
    upgrade(request, {}, (conn) => conn.receive((message) => void message.json())),
};

export const pages = {
  bodies: (request, _info) => bodies[new URL(request.url).pathname](request),
  login: (request, server) =>
    upgrade(request, { server, authenticate: async () => refuse(await askService()) }, () => {}),
  passedOn: (_request, _info) => askService(),
  async upload(request) {
    console.log('an upload begins');
    try {
      return new Response(String((await request.text()).length));
    } catch (error) {
      console.log('an upload broke');
      throw error;
    }
  },
  unread: (_request, _info) => new Response('no', { status: 401 }),
};
