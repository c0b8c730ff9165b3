import { masked, nothingLeft, rawClient, rawServer, request, switchingProtocols } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { front } from '../support.ts';

const KIB = 1024;

describe.each(['frames', 'bytes', 'messages'] as const)(
  'frames before the 101, mode %s',
  (mode) => {
    nothingLeft();

    it.each([1, 60])('wait for a slow target, %i KiB', async (size) => {
      let answer!: () => void;
      const answering = new Promise<void>((resolve) => {
        answer = resolve;
      });
      let asked!: () => void;
      const isAsked = new Promise<void>((resolve) => {
        asked = resolve;
      });
      const texts: number[] = [];
      const { url } = await rawServer(false, async (target) => {
        const head = await target.head();
        asked();
        await answering;
        await target.write(switchingProtocols(head));
        target.startFrames();
        let bytes = 0;
        await target.until(({ frames }) => {
          bytes = frames.reduce((sum, { payload }) => sum + payload.length, 0);
          return bytes >= size * KIB;
        });
        texts.push(bytes);
        await target.send(1, 'seen');
      });
      const between = await front(url, { mode });
      const client = await rawClient(between.port);
      const frames = masked(2, Buffer.alloc(size * KIB, 7));
      const writing = client.write(request(), frames);
      await isAsked;
      answer();
      await client.head();
      client.startFrames();
      expect(await client.sees(1)).toEqual(['text seen']);
      await writing;
      expect(texts).toEqual([size * KIB]);
    });
  },
);
