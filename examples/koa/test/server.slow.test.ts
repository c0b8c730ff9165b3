import { exampleEchoes } from '@ws/tests/examples';

exampleEchoes({
  name: 'koa',
  path: '/echo',
  page: 'a page of Koa',
  missing: 404,
  elsewhere: 404,
});
