import { largeMessageSuite, MIB } from './large-message/suite.ts';

largeMessageSuite('a message of 64 MiB', 48 * MIB, 64 * MIB);
