// Wrong and hostile code of an application. `../attacks.slow.test.ts` runs it on each runtime.
import { refuse, upgrade } from '@ws/fetch';

const echo = (conn) => conn.receive((message) => conn.send(message));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const quiet = () => {};

/** A Response of a class that the runtime does not know. */
const ofAnotherClass = (text, status) => ({
  status,
  statusText: '',
  headers: new Headers({ 'X-Who': 'ponyfill' }),
  body: new Response(text).body,
  [Symbol.toStringTag]: 'Response',
});

/** How `authenticate` fails. */
const logins = {
  'throws undefined': () => {
    throw undefined;
  },
  'rejects with null': () => Promise.reject(null),
  'returns Response.error()': () => refuse(Response.error()),
  'returns a Response of 200': () => refuse(new Response('yes')),
  'returns a Response of another class': () => refuse(ofAnotherClass('no', 401)),
  'returns a Response of 200 of another class': () => refuse(ofAnotherClass('yes', 200)),
  'returns { status: 401 }': () => ({ status: 401 }),
  'returns a thenable that throws': () => ({
    // oxlint-disable-next-line unicorn/no-thenable -- the attack
    then() {
      throw new Error('then');
    },
  }),
  'returns an object whose getter throws': () => ({
    get refuse() {
      throw new Error('getter');
    },
  }),
  'returns a refusal with a bad header': () => ({ refuse: 401, headers: { 'x y': 'z' } }),
  'returns a refusal of 200': () => ({ refuse: 200 }),
  'returns a Response with a body in use': async () => {
    const response = new Response('no', { status: 403 });
    response.body.getReader();
    return refuse(response);
  },
};

/** What `fetch` returns. */
const responses = {
  'a Response of another class': () => ofAnotherClass('a page', 200),
  'Response.error()': () => Response.error(),
  'a string': () => 'a string',
  undefined: () => undefined,
  'a Response whose body was read': async () => {
    const response = new Response('text');
    await response.text();
    return response;
  },
  'a Response whose body is locked': () => {
    const response = new Response('text');
    response.body.getReader();
    return response;
  },
  'a Response whose body fails': () =>
    new Response(
      new ReadableStream({
        pull: (controller) => controller.error(new Error('the body has failed')),
      }),
    ),
  'a mark that is forged': () =>
    new Response(null, { status: 204, headers: { 'x-ws-upgrade': crypto.randomUUID() } }),
};

/** What `/awaited` has written, and which errors `/unawaited-writes` got. */
const written = { awaited: 0, errors: {} };
const PART = new Uint8Array(64 * 1024);

const handlers = {
  '/echo': echo,
  '/throws-now': () => {
    throw new Error('now');
  },
  '/throws-undefined': async () => {
    throw undefined;
  },
  '/throws-later': async (conn) => {
    await conn.closed;
    await sleep(5);
    throw new Error('later');
  },
  '/unawaited': (conn) => {
    conn.receive(() => Promise.reject(new Error('receive')));
    conn.readMessage();
    conn.readMessage();
    conn.send({});
    conn.close(999);
    conn.close(1000, 'x'.repeat(124));
    conn.ping('x'.repeat(200));
    conn.send('last');
    conn.close(4000, 'é'.repeat(61));
    conn.close(4001);
    conn.send('never');
    conn.nextWriter(1);
    conn.writeJSON(1n);
  },
  '/awaited': async (conn) => {
    await conn.readMessage();
    for (; written.awaited < 500; written.awaited++) await conn.send(PART);
  },
  '/unawaited-writes': async (conn) => {
    await conn.readMessage();
    for (let i = 0; i < 500; i++) {
      conn.send(PART).catch(({ name }) => {
        written.errors[name] = (written.errors[name] ?? 0) + 1;
      });
    }
    await conn.closed;
  },
  '/slow': async (conn) => {
    await conn.send('ready');
    await sleep(1_000);
    let count = 0;
    for await (const message of conn) {
      count++;
      if (message.type === 1 && message.text() === 'last') break;
    }
    await conn.send(`read ${count}`);
  },
  '/readers': async (conn) => {
    const texts = [];
    for await (const message of conn) {
      texts.push(message.text());
      await sleep(1);
      if (texts.length === 200) break;
    }
    await conn.send(String(texts.every((text, i) => text === String(i))));
  },
};

const options = {
  '/unawaited-writes': { maxBufferedAmount: 2 ** 20 },
  '/offers': { subprotocols: ['b', 'a'] },
  '/throws-now': {
    report: () => {
      throw new Error('report');
    },
  },
  '/throws-undefined': { report: () => Promise.reject(new Error('report')) },
  '/throws-later': {
    get report() {
      return quiet;
    },
  },
  '/getter': {
    get authenticate() {
      throw new Error('getter');
    },
  },
  '/waits': { authenticate: () => new Promise(quiet), handshakeTimeout: 200 },
};

export default {
  fetch: (request, server) => {
    const { pathname, searchParams } = new URL(request.url);
    const name = searchParams.get('name');
    if (pathname === '/') return new Response('hello');
    if (pathname === '/written') return Response.json(written);
    if (pathname === '/returns') return responses[name]();
    if (pathname === '/login') {
      return upgrade(request, { server, report: quiet, authenticate: logins[name] }, echo);
    }
    const given = Object.getOwnPropertyDescriptors(options[pathname] ?? {});
    const all = Object.defineProperties({ server, report: quiet }, given);
    return upgrade(request, all, handlers[pathname] ?? echo);
  },
};
