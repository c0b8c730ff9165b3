import { exampleEchoes } from '@ws/tests/examples';

exampleEchoes({
  name: 'hono',
  path: '/echo',
  page: 'a page of Hono',
  missing: 404,
  elsewhere: 404,
});
