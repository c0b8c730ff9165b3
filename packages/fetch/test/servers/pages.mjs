// Pages and logins that the wrappers of Bun and Deno answer.
import { gzipSync } from 'node:zlib';
import { upgrade } from '@ws/fetch';

/** The port of each server, by its name. */
export const ports = {};

/** A login of another server, whose answers are compressed. */
export function service(_request, _info) {
  const headers = { 'Content-Encoding': 'gzip', 'WWW-Authenticate': 'Bearer' };
  return new Response(gzipSync('who are you?'), { status: 401, headers });
}

const askService = () => fetch(`http://127.0.0.1:${ports.service}/`);

export const pages = {
  login: (request, server) => upgrade(request, { server, authenticate: askService }, () => {}),
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
