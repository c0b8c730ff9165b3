import { transportContract } from '@ws/tests';
import { transportPair } from '../src/pair.ts';
import { portablePlatform } from '../src/platform/portable-platform.ts';

transportContract('the memory transport of connPair', () => {
  const [near, far] = transportPair(portablePlatform);
  return { near, far };
});
