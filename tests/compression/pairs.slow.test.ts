import { oursSuite, SETTINGS, WS_PAIRS, wsSuite } from './pairs.ts';
import { BACKENDS } from './support.ts';

for (const backend of BACKENDS) {
  oursSuite(backend, SETTINGS.slice(0, 4), { connections: 2, steps: 40 });
  wsSuite(backend, WS_PAIRS.slice(0, 2), { connections: 2, rounds: 4 });
}
