export { MemoryBroker, type MemoryBrokerOptions, memoryBackplane } from './memory-backplane.ts';
