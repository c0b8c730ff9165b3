import { exampleEchoes } from '@ws/testkit/examples';

exampleEchoes({ name: 'http-server', path: '/', page: '<title>echo</title>', missing: 404 });
