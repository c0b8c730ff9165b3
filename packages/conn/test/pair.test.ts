import { transportContract } from '@ws/testkit';
import { transportPair } from '../src/pair.ts';
import { portableHost } from '../src/portable-host.ts';

transportContract('the memory transport of connPair', () => {
  const [near, far] = transportPair(portableHost);
  return { near, far };
});
