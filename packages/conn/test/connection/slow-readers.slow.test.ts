// More pauses than `slow-readers.test.ts` has.
import { testSlowReaders } from './slow-readers.ts';

testSlowReaders('server', [50, 300, 1_000]);
testSlowReaders('client', [0, 50, 1_000, 2_600, 6_000]);
