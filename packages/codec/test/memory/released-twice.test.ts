// The debug mode of pools is on in this process.
import {
  debugPools,
  Endpoint,
  FrameEncoder,
  LEASED,
  MessageDecoder,
  type Role,
  sharedMessageBuffers,
  sharedSlabPool,
} from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { bytes } from '../support.ts';

debugPools();

type Write = (chunk: Uint8Array, release: () => void) => void;
type Sender = (payload: Uint8Array, write: Write, free?: () => void) => void;

const senders: Readonly<Record<string, (role: Role) => Sender>> = {
  FrameEncoder(role) {
    const encoder = new FrameEncoder({ role });
    return (payload, write, free) => {
      encoder.frame(2, true, 0, payload, 0, payload.length, free);
      encoder.flush(write);
    };
  },
  Endpoint(role) {
    const endpoint = new Endpoint({ role });
    return (payload, write, free) => {
      endpoint.send(payload, free);
      endpoint.output(write);
    };
  },
};
const lent = (): number => sharedSlabPool().lent + sharedMessageBuffers().lent;
const TWICE = /released twice/;

describe.each(Object.entries(senders))('U15 %s', (_name, make) => {
  describe.each(['server', 'client'] as const)('of a %s', (role) => {
    describe.each([4, 5000, 50_000, 70_000])('with a payload of %d bytes', (length) => {
      const payload = bytes(length);

      it('reports a second release: within `write`, after it, and after the next lease', () => {
        const before = lent();
        for (const when of ['within', 'after', 'later']) {
          const send = make(role);
          const releases: (() => void)[] = [];
          let freed = 0;
          let reports = 0;
          send(
            payload,
            (_chunk, release) => {
              releases.push(release);
              if (when !== 'within') return;
              release();
              expect(release).toThrow(TWICE);
              reports++;
            },
            () => freed++,
          );
          if (when !== 'within') {
            for (const release of releases) release();
            if (when === 'later') send(payload, (_chunk, release) => release());
            for (const release of releases) expect(release).toThrow(TWICE);
            reports += releases.length;
          }
          expect([reports > 0, freed, lent()]).toEqual([true, 1, before]);
        }
      });

      it.each(['before it throws', 'after it has thrown', 'never'])(
        'reports none when `write` throws and releases %s',
        (when) => {
          const before = lent();
          const send = make(role);
          const late: (() => void)[] = [];
          let freed = 0;
          const fail: Write = (_chunk, release) => {
            if (when === 'before it throws') release();
            else late.push(release);
            throw new Error('EPIPE');
          };
          expect(() => send(payload, fail, () => freed++)).toThrow('EPIPE');
          expect([freed, lent()]).toEqual([1, before]);
          if (when !== 'never') for (const release of late) release();
          expect([freed, lent()]).toEqual([1, before]);
        },
      );
    });
  });
});

describe('U15 MessageDecoder.takeLease', () => {
  it('reports a second release', () => {
    const before = lent();
    const client = new Endpoint({ role: 'client' });
    client.send(bytes(300));
    const decoder = new MessageDecoder({ role: 'server', memory: LEASED });
    decoder.push(client.output());
    decoder.next();
    const lease = decoder.takeLease()!;
    lease.release();
    expect(lease.release).toThrow(TWICE);
    decoder.next();
    expect(lent()).toBe(before);
  });
});
