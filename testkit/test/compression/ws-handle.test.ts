// A file for each backend: they run side by side.
import { wsSuite } from './ws-suite.ts';

wsSuite('handle');
