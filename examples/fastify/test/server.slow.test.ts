import { exampleEchoes } from '@ws/tests/examples';

exampleEchoes({
  name: 'fastify',
  path: '/echo',
  page: 'a page of Fastify',
  missing: 404,
  elsewhere: 404,
});
