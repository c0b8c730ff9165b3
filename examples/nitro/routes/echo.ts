import { upgrade } from '@ws/fetch';
import { defineHandler } from 'h3';

export default defineHandler((event) =>
  upgrade(event.req, {}, (conn) => conn.receive((message) => conn.send(message))),
);
