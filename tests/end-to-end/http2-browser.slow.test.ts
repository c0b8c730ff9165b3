// A page over HTTP/2, whose WebSockets are streams of the page's session.
import type { Http2Session, IncomingHttpHeaders } from 'node:http2';
import { type Conn, serve, type WsServer } from '@ws/node-server';
import { selfSigned } from '@ws/tests';
import { lacksChromium, launchChromium } from '@ws/tests/chromium';
import { lacksFirefox, launchFirefox } from '@ws/tests/firefox';
import { describe, expect, it, onTestFinished } from 'vitest';

const SLOW_MS = 120_000;

/** Runs in a page: opens WebSockets of its host, sends a message on each and closes. */
const VISIT = `Promise.all([1, 2, 3].map((i) => new Promise((resolve) => {
  const socket = new WebSocket('wss://' + location.host + '/echo');
  const messages = [];
  socket.onopen = () => socket.send('message ' + i);
  socket.onmessage = ({ data }) => {
    messages.push(data);
    socket.close(4000);
  };
  socket.onclose = ({ code, reason, wasClean }) => resolve([...messages, code, reason, wasClean]);
})))`;
const SEEN = [1, 2, 3].map((i) => [`message ${i}`, 4000, '', true]);

/** What a server sees of its sessions. */
interface Watched {
  readonly server: WsServer;
  readonly url: string;
  /** The method and the protocol of each stream, by session. */
  readonly sessions: string[][];
  /** TCP connections with HTTP/1.1. */
  upgrades: number;
}

async function watched(): Promise<Watched> {
  const tls = await selfSigned();
  const server = await serve(
    {
      host: '127.0.0.1',
      tls,
      http2: true,
      compression: true,
      request: (_req, res) => res.end('<!doctype html><title>a page</title>'),
    },
    (conn: Conn) => conn.receive((message) => conn.send(message)),
  );
  onTestFinished(() => void server.close({ timeout: 1_000 }));
  const seen: Watched = {
    server,
    url: server.url.replace('wss', 'https'),
    sessions: [],
    upgrades: 0,
  };
  server.http.on('upgrade', () => seen.upgrades++);
  server.http.on('session', (session: Http2Session) => {
    const streams: string[] = [];
    seen.sessions.push(streams);
    session.on('stream', (_stream: unknown, headers: IncomingHttpHeaders) => {
      streams.push(`${headers[':method']} ${headers[':protocol'] ?? ''}`.trim());
    });
  });
  return seen;
}

/** All WebSockets are streams of the session that has the page. */
function expectStreams({ server, sessions, upgrades }: Watched): void {
  expect(upgrades).toBe(0);
  const ofPage = sessions.filter((streams) => streams.includes('GET'));
  expect(ofPage).toHaveLength(1);
  const count = ofPage[0]!.filter((one) => one === 'CONNECT websocket').length;
  expect(count).toBe(3);
  expect(server.stats.opened).toBe(3);
}

describe.skipIf(lacksChromium())('Chromium', () => {
  it(
    'opens WebSockets as streams of the session of its page',
    async () => {
      const seen = await watched();
      const browser = await launchChromium();
      onTestFinished(() => browser.close());
      const page = await browser.newPage({ ignoreHTTPSErrors: true });
      await page.goto(seen.url);
      expect(await page.evaluate(VISIT)).toEqual(SEEN);
      expectStreams(seen);
      // Chromium ends its side, so no stream waits for a reset.
      while (seen.server.connections.size > 0) await new Promise((done) => setTimeout(done, 10));
    },
    SLOW_MS,
  );
});

describe.skipIf(lacksFirefox())('Firefox', () => {
  it(
    'opens WebSockets as streams of the session of its page',
    async () => {
      const seen = await watched();
      const browser = await launchFirefox({ acceptInsecureCerts: true });
      onTestFinished(() => browser.close());
      const page = await browser.newPage();
      await page.goto(seen.url);
      expect(await page.evaluate(VISIT)).toEqual(SEEN);
      expectStreams(seen);
      // Firefox never ends its side.
      while (seen.server.connections.size > 0) await new Promise((done) => setTimeout(done, 10));
    },
    SLOW_MS,
  );
});
