import { exampleEchoes } from '@ws/tests/examples';

exampleEchoes({ name: 'http-server', path: '/', page: '<title>echo</title>', missing: 404 });
