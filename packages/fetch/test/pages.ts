import { type Page } from '@ws/tests/chromium';

/** A text, or so many bytes. */
type Data = string | number;

/** How a page uses a WebSocket. */
interface Visit {
  readonly path: string;
  /** The host of the page. Default: that of the WebSocket. `sandbox` is a frame without an origin. */
  readonly from?: 'localhost' | 'sandbox';
  readonly cookie?: string;
  readonly protocols?: readonly string[];
  readonly send?: readonly Data[];
  /** The page closes after so many messages. Default: as many as it has sent. */
  readonly want?: number;
  /** Default: 1000. */
  readonly close?: readonly [number, string];
}

/** What the page sees. */
interface Seen {
  readonly events: readonly string[];
  readonly protocol: string;
  readonly messages: readonly Data[];
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
  /** `document.cookie` at the end. */
  readonly cookie: string;
}

const REFUSED: Partial<Seen> = { events: ['error', 'close'], code: 1006, wasClean: false };
const CLEAN: Partial<Seen> = { events: ['open', 'close'], code: 1000, wasClean: true };
const ALL: readonly Data[] = ['hé😀', '', 0, 1, 300_000];
const MANY: readonly Data[] = Array.from({ length: 500 }, (_, i) => String(i));

/** The server closes with this code and reason. */
const closed = (code: number, reason: string): [string, Visit, Partial<Seen>] => [
  `gets the close code ${code}`,
  { path: '/close', send: [JSON.stringify([code, reason])] },
  { code, reason, wasClean: true },
];

/** What a page in Chromium does, and what it must see on each runtime. */
export const VISITS: readonly (readonly [title: string, Visit, Partial<Seen>])[] = [
  ['echoes in receive', { path: '/echo', send: ALL }, { ...CLEAN, messages: ALL }],
  ['echoes in a loop', { path: '/loop', send: ALL }, { ...CLEAN, messages: ALL }],
  ['gets messages in order', { path: '/loop', send: MANY }, { ...CLEAN, messages: MANY }],
  [
    'logs in by its query, and gets a subprotocol and cookies',
    { path: '/login?token=s3cr3t', protocols: ['chat', 'chat.v2'], want: 1 },
    { ...CLEAN, protocol: 'chat.v2', cookie: 'a=1; b=2' },
  ],
  [
    'logs in by its cookie',
    { path: '/login', cookie: 'token=s3cr3t', protocols: ['chat'], want: 1 },
    { ...CLEAN, protocol: 'chat', cookie: 'token=s3cr3t; a=1; b=2' },
  ],
  ['is refused without a login', { path: '/login' }, REFUSED],
  ['is refused at a page', { path: '/' }, REFUSED],
  ['is refused at a missing page', { path: '/nothing' }, REFUSED],
  ['is refused by middleware', { path: '/middleware/refuses' }, REFUSED],
  ['is refused without its subprotocol', { path: '/echo', protocols: ['other'] }, REFUSED],
  ['is refused without an origin', { path: '/echo', from: 'sandbox' }, REFUSED],
  ['gets 1009 for a message over readLimit', { path: '/limit', send: [1_001] }, { code: 1009 }],
  ['gets 1011 when the handler throws', { path: '/throws', send: ['go'] }, { code: 1011 }],
  closed(1000, ''),
  closed(1013, 'again'),
  closed(3000, 'thrée'),
  closed(4001, 'bye'),
  [
    'closes with its own code',
    { path: '/watched', want: 1, close: [4002, 'own'] },
    // The runtimes answer with its reason, Node without one.
    { events: ['open', 'close'], code: 4002, wasClean: true },
  ],
  ['is refused from another host', { path: '/echo', from: 'localhost' }, REFUSED],
];

/** Runs in a page, or in its frame. */
const VISIT = `(url, { protocols = [], send = [], want = send.length, close = [1000] }) =>
  new Promise((resolve) => {
    const socket = new WebSocket(url, protocols);
    socket.binaryType = 'arraybuffer';
    const events = [];
    const messages = [];
    let protocol = '';
    socket.onopen = () => {
      events.push('open');
      protocol = socket.protocol;
      for (const data of send) {
        socket.send(typeof data === 'string' ? data : Uint8Array.from({ length: data }, (_, i) => i));
      }
    };
    socket.onmessage = ({ data }) => {
      const bytes = new Uint8Array(data);
      if (typeof data === 'string') messages.push(data);
      else messages.push(bytes.every((byte, i) => byte === i % 256) ? bytes.length : 'other bytes');
      if (messages.length === want) socket.close(...close);
    };
    socket.onerror = () => events.push('error');
    socket.onclose = ({ code, reason, wasClean }) => {
      events.push('close');
      resolve({ events, protocol, messages, code, reason, wasClean });
    };
  })`;

/** Runs in a page: the same in a sandboxed frame, which has no origin. */
const FROM_SANDBOX = `(url, visit) => new Promise((resolve) => {
  const frame = document.createElement('iframe');
  const seen = ({ data }) => {
    frame.remove();
    resolve(data);
  };
  addEventListener('message', seen, { once: true });
  frame.sandbox = 'allow-scripts';
  const call = '(' + ${JSON.stringify(VISIT)} + ')(' + JSON.stringify(url) + ',' + JSON.stringify(visit) + ')';
  frame.srcdoc = '<script>' + call + '.then((seen) => parent.postMessage(seen, "*"))<' + '/script>';
  document.body.append(frame);
})`;

/** Visits the program at `port` from a page of its own, or of the host `from`. */
export async function visit(page: Page, port: number, options: Visit): Promise<Seen> {
  const { path, from, cookie = '' } = options;
  const url = `http://${from === 'localhost' ? from : '127.0.0.1'}:${port}/`;
  if (page.url() !== url) await page.goto(url);
  const run = from === 'sandbox' ? FROM_SANDBOX : VISIT;
  const args = [`ws://127.0.0.1:${port}${path}`, options].map((each) => JSON.stringify(each));
  const seen = await page.evaluate<Seen>(`(async () => {
    document.cookie = ${JSON.stringify(cookie)};
    const seen = await (${run})(${args.join()});
    return { ...seen, cookie: document.cookie };
  })()`);
  await page.context().clearCookies();
  return seen;
}

/** Two pages of a room: each gets what one of them sends. Resolves with the last text of each. */
export async function meet(pages: readonly [Page, Page], port: number): Promise<string[]> {
  for (const page of pages) {
    const url = `http://127.0.0.1:${port}/`;
    if (page.url() !== url) await page.goto(url);
    await page.evaluate(`new Promise((resolve) => {
      globalThis.socket = new WebSocket('ws://127.0.0.1:${port}/room');
      socket.onopen = () => socket.send('here');
      socket.onmessage = resolve;
    })`);
  }
  const texts = pages.map((page) =>
    page.evaluate<string>(`new Promise((resolve) => {
      socket.onmessage = ({ data }) => data !== 'here' && resolve(data);
    })`),
  );
  await pages[0].evaluate("socket.send('to all')");
  return Promise.all(texts);
}
