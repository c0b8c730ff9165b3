import { dial } from '@ws/node-client';
import { exampleEchoes, startExample } from '@ws/tests/examples';
import { expect, it, onTestFinished } from 'vitest';

exampleEchoes({
  name: 'hono',
  path: '/echo',
  page: 'a page of Hono',
  missing: 404,
  elsewhere: 404,
});

it.each(['/echo', '/events'])(
  'sends the headers of a middleware with the 101: %s',
  async (path) => {
    const example = await startExample('hono');
    onTestFinished(() => void example.stop());
    const conn = await dial(example.ws + path);
    expect(conn.response.headers).toMatchObject({ 'x-served-by': 'Hono' });
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    await conn.close();
  },
);
