import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Conn } from '@ws/conn';
import { nothingLeft, selfSigned, whenOver } from '@ws/tests';
import { lacksChromium, launchChromium } from '@ws/tests/chromium';
import { lacksFirefox, launchFirefox } from '@ws/tests/firefox';
import { describe, expect, it } from 'vitest';
import { serve } from '../../src/index.ts';

/** What both drivers have. */
interface TestPage {
  goto(url: string): Promise<unknown>;
  evaluate(script: string): Promise<unknown>;
}

/** Opens a page that accepts the certificate of the tests. */
const BROWSERS: readonly {
  readonly name: string;
  readonly lacks: () => boolean;
  readonly open: () => Promise<TestPage>;
}[] = [
  {
    name: 'Chromium',
    lacks: lacksChromium,
    async open() {
      const browser = await launchChromium();
      whenOver(() => browser.close());
      return browser.newPage({ ignoreHTTPSErrors: true });
    },
  },
  {
    name: 'Firefox',
    lacks: lacksFirefox,
    async open() {
      const browser = await launchFirefox({ acceptInsecureCerts: true });
      whenOver(() => browser.close());
      return browser.newPage();
    },
  },
];

/** Opens a WebSocket of the page's origin, echoes a text, and closes. */
const SCRIPT = `new Promise((done) => {
  const socket = new WebSocket('wss://' + location.host + '/ws');
  let got;
  socket.onopen = () => socket.send('grüße');
  socket.onmessage = ({ data }) => { got = data; socket.close(4001, 'done'); };
  socket.onclose = ({ code, wasClean }) => done([got, code, wasClean]);
})`;

describe.each(BROWSERS)('a page in $name', ({ lacks, open }) => {
  nothingLeft();

  it.skipIf(lacks())('opens a WebSocket as a stream of the session that loaded it', async () => {
    const versions: string[] = [];
    const sockets: unknown[] = [];
    const server = await serve(
      {
        host: '127.0.0.1',
        tls: await selfSigned(),
        http2: true,
        compression: true,
        request: (req: IncomingMessage, res: ServerResponse) => {
          versions.push(`${req.httpVersion} ${req.url}`);
          res.setHeader('Content-Type', 'text/html');
          res.end('<link rel=icon href=data:,><title>page</title>');
        },
      },
      (conn: Conn, req) => {
        versions.push(`${req.httpVersion} ${req.url}`);
        return conn.receive((message) => conn.send(message));
      },
    );
    whenOver(() => server.close({ timeout: 1_000 }));
    server.http.on('secureConnection', (socket: unknown) => sockets.push(socket));
    const page = await open();
    await page.goto(`${server.url.replace(/^ws/, 'http')}/page`);
    const before = sockets.length;
    expect(await page.evaluate(SCRIPT)).toEqual(['grüße', 4001, true]);
    expect(versions).toEqual(['2.0 /page', '2.0 /ws']);
    expect(sockets).toHaveLength(before);
  });
});
