// A room of many has a message that is longer than the `readLimit` of a client.
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { describe, it } from 'vitest';
import { returnToTooLong } from './too-long.ts';

describe('a client that returns to a message above its readLimit', () => {
  it.each([
    ['in memory', () => undefined],
    ['of an engine', () => memoryBackplane(new MemoryBroker())],
  ])('has a gap in that room, and keeps the positions of the others: %s', async (_, start) => {
    await returnToTooLong(start());
  });
});
