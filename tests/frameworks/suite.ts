import { once } from 'node:events';
import { get } from 'node:http';
import { get as getTls } from 'node:https';
import { text } from 'node:stream/consumers';
import { Dialer } from '@ws/node-client';
import { type Example, endsWithSilentClient } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import { startPage } from './page.ts';

/** Expectations of {@link programEchoes}. */
export interface EchoProgram {
  /** Path of the program on the page. */
  readonly name: string;
  /** Text on the page of `/`. */
  readonly page: string;
  /** Status of a missing page. */
  readonly missing: number;
  /** The certificate to trust. */
  readonly ca?: (() => Promise<string>) | undefined;
}

/** Tests a program with a page, and an echo at `/echo`. */
export function programEchoes(folder: string, wanted: EchoProgram): void {
  const { name, page, missing } = wanted;
  const path = '/echo';

  describe(name, () => {
    let example: Example;
    let ca: string | undefined;
    let dialer: Dialer;

    beforeAll(async () => {
      ca = await wanted.ca?.();
      dialer = new Dialer({ tls: { ca } });
      example = await startPage(folder, name);
    });
    afterAll(() => example?.stop());

    async function fetchPage(where: string): Promise<{ status: number | undefined; body: string }> {
      const request =
        ca === undefined ? get(example.url + where) : getTls(example.url + where, { ca });
      const [response] = await once(request, 'response');
      return { status: response.statusCode, body: await text(response) };
    }

    /** The status of a rejected upgrade. */
    async function refused(where: string, options: ClientOptions = {}): Promise<number> {
      const socket = new WebSocket(example.ws + where, { ...options, ca });
      const [request, response] = await once(socket, 'unexpected-response');
      request.destroy();
      return response.statusCode;
    }

    async function expectPages(): Promise<void> {
      const { status, body } = await fetchPage('/');
      expect([status, body]).toEqual([200, expect.stringContaining(page)]);
      expect((await fetchPage('/no-such-page')).status).toBe(missing);
    }

    it('echoes texts and bytes to our client', async () => {
      const conn = await dialer.dial(example.ws + path);
      await conn.send('grüße 🌍');
      expect((await conn.readMessage()).text()).toBe('grüße 🌍');
      const bytes = Uint8Array.from({ length: 60_000 }, (_, i) => i % 251);
      await conn.send(bytes);
      expect((await conn.readMessage()).data).toEqual(bytes);
      expect(await conn.close(1000, 'enough')).toMatchObject({ code: 1000, wasClean: true });
    });

    it('echoes texts to ws', async () => {
      const socket = new WebSocket(example.ws + path, { ca });
      await once(socket, 'open');
      socket.send('hello');
      const [answer, isBinary] = await once(socket, 'message');
      expect([String(answer), isBinary]).toEqual(['hello', false]);
      socket.close(1000);
      expect((await once(socket, 'close'))[0]).toBe(1000);
    });

    it('serves pages before and after rejected upgrades', async () => {
      await expectPages();
      expect(await refused(path, { origin: 'https://example.org' })).toBe(403);
      expect(await refused(path, { protocolVersion: 8 })).toBe(426);
      expect(await refused('/elsewhere')).toBe(404);
      await expectPages();
    });

    // The last test: it ends the example.
    endsWithSilentClient(
      async () => example,
      async (own) => dialer.dial(own.ws + path),
    );
  });
}
