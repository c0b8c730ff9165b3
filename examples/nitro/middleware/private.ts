import { defineHandler } from 'h3';

export default defineHandler(({ url }) => {
  if (url.pathname.startsWith('/private/')) return new Response('who are you?\n', { status: 401 });
});
