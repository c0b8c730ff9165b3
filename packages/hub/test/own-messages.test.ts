import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { expect, it } from 'vitest';
import { ownMessagesUnderWay } from './own-messages.ts';

it('a node whose first members join while the engine stores its messages gives them to a member that resumes', async () => {
  const broker = new MemoryBroker();
  const { resumed, joined } = await ownMessagesUnderWay(() => memoryBackplane(broker));
  expect(resumed).toEqual(['other', '1', '2', '3', 'after', 'end']);
  // It has joined after the publication.
  expect(joined).toEqual(['other', 'after', 'end']);
});
