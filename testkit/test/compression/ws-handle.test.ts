// A file of its own for each backend: engines that were made stay as they are.
import { wsSuite } from './ws-suite.ts';

wsSuite('handle');
