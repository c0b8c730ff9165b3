import { BadHandshakeError, type DialAddress, Dialer, type DialerOptions } from '@ws/node-client';
import { describe, expect, it } from 'vitest';
import { survives } from '../../src/hostile/index.ts';
import { Answerer, Dials } from './answering.ts';
import { warm } from './warm.ts';

const to = (location: string): string =>
  `HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`;

/** What a victim sends with a dial, and an attacker would like to read. */
const SECRETS = {
  Authorization: 'Bearer secret-1',
  Cookie: 'session=secret-2',
  'Proxy-Authorization': 'Basic secret-3',
  'X-Api-Key': 'secret-4',
  Host: 'secret-5.example',
};

describe('a client that is redirected', () => {
  it('by default does not follow, and else takes no secret to another origin', async () => {
    const attack = await warm(async () => {
      const heard: string[] = [];
      const attacker = new Answerer((end, { text, ok }) => {
        heard.push(text);
        end.write(ok());
      });
      let followed = 0;
      const trusted = new Answerer((end) => void end.write(to('ws://attacker/')));
      const endless = new Answerer((end) => {
        followed++;
        end.write(to(`ws://loop-${followed}/`));
      });
      const route = ({ host }: DialAddress) =>
        (host === 'trusted' ? trusted : host.startsWith('loop') ? endless : attacker).netDial();
      const options: DialerOptions = { netDial: route };
      const dial = (url: string, more: DialerOptions = {}) =>
        new Dialer({ ...options, ...more }).dial(url, { headers: SECRETS });

      const byDefault = new Dials();
      await byDefault.take(dial('ws://trusted/'));
      expect(byDefault.errors[0]).toMatchObject({ status: 302 });
      expect(heard).toEqual([]);

      const enabled = new Dials();
      await enabled.take(dial('ws://trusted/', { followRedirects: 5 }));
      expect(enabled.opened).toBe(1);
      expect(heard).toHaveLength(1);
      const names = Object.keys(SECRETS).filter((name) => name !== 'Host');
      const leaked = [...names.map((name) => `${name}:`), 'secret'].filter((word) =>
        heard[0]!.toLowerCase().includes(word.toLowerCase()),
      );

      const loop = new Dials();
      await loop.take(dial('ws://loop-0/', { followRedirects: 5 }));
      expect(loop.errors[0]).toBeInstanceOf(BadHandshakeError);
      expect(() => new Dialer({ followRedirects: 6 })).toThrow(RangeError);
      const left = trusted.left + attacker.left + endless.left;
      expect(left).toBe(0);
      // The first was asked for by the caller.
      return { opened: byDefault.opened, leaked: leaked.length, followed: followed - 1 };
    });
    await survives(41, attack);
  });

  it('is never led from wss to ws', async () => {
    const locations = [
      'ws://h/',
      'http://h/',
      'WS://h/',
      'ws://h:443/',
      'ws://127.0.0.1/',
      'ws+unix:/run/app.sock:/',
      'ws:h',
      'ws:/h',
      '\tws://h/',
    ];
    await survives(42, async () => {
      let plain = 0;
      const dials = new Dials();
      for (const location of locations) {
        const secure = new Answerer(to(location));
        const netDial = () => {
          plain++;
          return new Answerer((end, { ok }) => void end.write(ok())).netDial();
        };
        const dialer = new Dialer({ netDialTLS: secure.netDial, netDial, followRedirects: 5 });
        await dials.take(dialer.dial('wss://h/', { headers: SECRETS }));
        expect(secure.left).toBe(0);
      }
      expect(dials.errors).toHaveLength(locations.length);
      for (const error of dials.errors) expect(error).toBeInstanceOf(BadHandshakeError);
      return { plain, opened: dials.opened };
    });
  });
});
