import { exampleEchoes } from '@ws/tests/examples';

exampleEchoes({
  name: 'express',
  path: '/echo',
  page: 'a page of Express',
  missing: 404,
  elsewhere: 404,
});
