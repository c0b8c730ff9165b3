import { oursSuite, SETTINGS, WS_PAIRS, wsSuite } from './pairs.ts';
import { BACKENDS } from './support.ts';

for (const backend of BACKENDS) {
  oursSuite(backend, SETTINGS);
  wsSuite(backend, WS_PAIRS);
}
