import { dial } from '@ws/node-client';
import { exampleEchoes, startExample } from '@ws/tests/examples';
import { expect, it, onTestFinished } from 'vitest';

exampleEchoes({ name: 'h3', path: '/echo', page: 'a page of h3', missing: 404, elsewhere: 404 });

it('sends the headers of a middleware with the 101', async () => {
  const example = await startExample('h3');
  onTestFinished(() => void example.stop());
  const conn = await dial(`${example.ws}/echo`);
  expect(conn.response.headers).toMatchObject({ 'x-served-by': 'h3' });
  await conn.close();
});
