import { largeMessageSuite, MIB } from './large-message/suite.ts';

largeMessageSuite('a message of 1 GiB', 128 * MIB, 1024 * MIB);
