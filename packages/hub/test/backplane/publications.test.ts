import { BinaryMessage, connPair, PreparedMessage, portablePlatform } from '@ws/conn';
import { Hub } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { describe, expect, it } from 'vitest';
import type { BackplaneLink } from '../../src/backplane/backplane-link.ts';
import { Publications } from '../../src/backplane/publications.ts';

describe('Publications.joined', () => {
  it('keeps a session only until the messages before its join have returned', async () => {
    const backplane = {
      ...memoryBackplane(new MemoryBroker()),
      publish: () => Promise.resolve(undefined),
    };
    const link = {
      platform: portablePlatform,
      backplane,
      node: 'a',
      state: 'up',
      receives: () => true,
      whenSubscribed: (_: string, ready: () => void) => ready(),
    };
    const publications = new Publications(link as unknown as BackplaneLink<unknown>);
    const message = new PreparedMessage(BinaryMessage, new Uint8Array(1));
    const outgoing = { channel: 'r', message, key: undefined, keep: undefined };
    const hub = new Hub();
    // In a busy room some message is always under way.
    for (let counter = 1; counter <= 20; counter++) {
      void publications.publish({ ...outgoing, origin: { except: undefined } });
      publications.joined('r', hub.add(connPair()[1]));
      publications.takeOrigin('r', counter - 1);
    }
    expect(publications.sent.get('r')!.joined.size).toBeLessThan(4);
    publications.takeOrigin('r', 20);
    await hub.close();
  });
});
