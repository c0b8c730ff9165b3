import { exampleEchoes } from '@ws/tests/examples';

exampleEchoes({ name: 'raw-server', path: '/', page: '<title>echo</title>', missing: 404 });
