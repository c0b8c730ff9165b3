// One program for Node, Bun, Deno, Workers and Durable Objects. `../runtimes.slow.test.ts` runs it.
import { admit, upgrade, upgradeWebSocket } from '@ws/fetch';
import { Hub } from '@ws/hub';
import { Hono } from 'hono';

const hub = new Hub();
hub.on('connect', (session) => session.join('lobby'));
hub.on('message', (_session, message) => void hub.room('lobby').publish(message));

/** How the connections of `/watched` have ended. */
const ends = [];
/** What the probes of `../features.ts` have found here. */
const facts = {};
/** Responses of upgrades that `/twice` returns again. */
let kept;

/** Connections of `/unanswered` that are not collected. */
let uncollected = 0;
// Workers of early 2025 have no such class.
const collected = globalThis.FinalizationRegistry && new FinalizationRegistry(() => uncollected--);

const USERS = { s3cr3t: 'ada' };

async function authenticate(request, { signal }) {
  if (signal.aborted) throw new Error('aborted too early');
  await new Promise((resolve) => setTimeout(resolve, 1));
  const { headers, url } = request;
  // A page has no header Authorization, but cookies and a query.
  const [, token] =
    /^Bearer (.*)$/.exec(headers.get('authorization') ?? '') ??
    /\btoken=(\w+)/.exec(`${headers.get('cookie')} ${url}`) ??
    [];
  const user = USERS[token];
  return user
    ? admit({ user })
    : { refuse: 401, headers: { 'WWW-Authenticate': 'Bearer' }, body: 'who?' };
}

const echo = (conn) => conn.receive((message) => conn.send(message));

/** What a connection of Node has, by frames of our own. */
const CONN_ONLY = {
  setCloseHandler: (conn) => conn.setCloseHandler(() => {}),
  writeControl: (conn) => conn.writeControl(10, new Uint8Array(0)),
  setCompressionLevel: (conn) => conn.setCompressionLevel(1),
  enableWriteCompression: (conn) => conn.enableWriteCompression(false),
  toStreams: (conn) => conn.toStreams(),
};

const hono = new Hono();
hono.use(async (c, next) => {
  c.header('X-Before', 'was here');
  await next();
  c.header('X-Middleware', 'was here');
});
hono.get(
  '/hono',
  upgradeWebSocket(() => ({ onMessage: ({ data }, socket) => socket.send(data) })),
);

const silent = () => {
  let timer;
  return new ReadableStream({
    start: (c) => void (timer = setTimeout(() => c.close(), 20_000)),
    cancel: () => clearTimeout(timer),
  });
};

const routes = {
  '/silent': () => new Response(silent()),
  '/wrong-length': () =>
    new Response(new Blob(['hello world']).stream(), { headers: { 'Content-Length': '5' } }),
  '/hono': (request, server) => hono.fetch(request, server),
  '/': () => new Response('hello', { headers: { 'Content-Type': 'text/plain' } }),
  '/echo': (request, server) => upgrade(request, { server }, echo),
  '/loop': (request, server) =>
    upgrade(request, { server }, async (conn) => {
      for await (const message of conn) await conn.send(message);
    }),
  '/login': (request, server) =>
    upgrade(
      request,
      {
        server,
        authenticate,
        subprotocols: ['chat.v2', 'chat'],
        headers: [
          ['Set-Cookie', 'a=1'],
          ['Set-Cookie', 'b=2'],
        ],
      },
      async (conn, { auth }) => {
        const facts = { user: auth.user, data: conn.data.user, role: conn.role };
        const address = typeof conn.remoteAddr === 'string' && conn.remoteAddr.length > 0;
        await conn.writeJSON({ ...facts, subprotocol: conn.subprotocol, address });
      },
    ),
  '/room': (request, server) => upgrade(request, { server }, hub.handler),
  '/throws': (request, server) =>
    upgrade(request, { server, report: () => {} }, async (conn) => {
      await conn.readMessage();
      throw new Error('boom');
    }),
  '/receive-throws': (request, server) =>
    upgrade(request, { server, report: () => {} }, (conn) =>
      conn.receive(() => {
        throw new Error('boom');
      }),
    ),
  '/limit': (request, server) => upgrade(request, { server, readLimit: 1000 }, echo),
  '/big': (request, server) => upgrade(request, { server, readLimit: 8 * 2 ** 20 }, echo),
  '/close': (request, server) =>
    upgrade(request, { server }, async (conn) => {
      const [code, reason] = (await conn.readMessage()).json();
      try {
        await conn.close(code, reason);
      } catch (error) {
        await conn.writeJSON(error.message);
      }
    }),
  '/watched': (request, server) =>
    upgrade(request, { server }, async (conn) => {
      await conn.send('ready');
      const { code, reason, wasClean } = await conn.closed;
      // A later turn: the runtime must keep the handler.
      await new Promise((resolve) => setTimeout(resolve, 20));
      ends.push({ code, reason, wasClean });
    }),
  '/ends': () => Response.json(ends),
  '/reads': (request, server) =>
    upgrade(request, { server }, async (conn) => {
      const json = await conn.readJSON();
      const reader = await conn.nextReader();
      const text = await reader.text();
      const writer = await conn.nextWriter(1);
      await writer.write(JSON.stringify([json, text]));
      await writer.close();
      for await (const message of conn) {
        if (message.text() === 'leave') break;
      }
      const { messagesIn, messagesOut } = conn.stats;
      await conn.writeJSON([messagesIn, messagesOut, conn.bufferedAmount, conn.state]);
      await conn.readMessage({ timeout: 20 }).catch((error) => conn.send(error.name));
    }),
  '/unread': (request, server) =>
    upgrade(request, { server, maxQueuedBytes: 2 ** 20 }, async (conn) => {
      await conn.send('ready');
      await conn.closed;
    }),
  '/ping': (request, server) =>
    upgrade(request, { server }, async (conn) => {
      const rtt = await conn.ping().catch((error) => error.name);
      await conn.writeJSON(typeof rtt === 'number' ? 'number' : rtt);
    }),
  '/terminate': (request, server) =>
    upgrade(request, { server }, async (conn) => {
      await conn.readMessage();
      conn.terminate();
    }),
  // The handler takes longer than the client, which closes at once.
  '/answers': (request, server) =>
    upgrade(request, { server }, (conn) =>
      conn.receive(async () => {
        await new Promise((resolve) => setTimeout(resolve, 500));
        await conn.send('answered');
      }),
    ),
  '/close-waits': (request, server) =>
    upgrade(request, { server }, async (conn) => {
      const late = new Promise((resolve) => setTimeout(() => resolve('waits'), 500));
      facts.closeWaits = (await Promise.race([conn.close(), late])) === 'waits';
    }),
  '/address': (request, server) =>
    upgrade(request, { server }, (conn) => conn.send(String(server?.address))),
  '/forgotten': async (request, server) => {
    const report = ({ message }) => {
      facts.forgotten = message;
    };
    await upgrade(request, { server, report }, echo);
    return new Response('hello');
  },
  '/facts': () => Response.json(facts),
  // The client does not answer the close.
  '/unanswered': (request, server) => {
    const how = new URL(request.url).searchParams.get('how');
    return upgrade(request, { server, readLimit: 1000, report() {} }, async (conn) => {
      uncollected++;
      collected?.register(conn);
      const heard = [];
      void conn.closed.then(({ wasClean }) => {
        facts[how] = { wasClean, heard };
      });
      await conn.receive((message) => {
        heard.push(message.text());
        if (how === 'close') void conn.close(4000);
        if (how === 'terminate') conn.terminate();
        if (how === 'throw') throw new Error('boom');
      });
    });
  },
  '/uncollected': async () => {
    globalThis.gc();
    // Its callbacks run in a later turn.
    await new Promise((resolve) => setTimeout(resolve, 50));
    return Response.json(uncollected);
  },
  '/members': (request, server) =>
    upgrade(request, { server }, async (conn) => {
      facts.unsupported = [];
      for (const [name, use] of Object.entries(CONN_ONLY)) {
        const result = await (async () => use(conn))().catch((error) => error);
        if (result instanceof Error) facts.unsupported.push(`${name}: ${result.name}`);
      }
      facts.members = true;
    }),
  '/extensions': (request, server) =>
    upgrade(request, { server }, (conn) => {
      facts.extensions = conn.extensions;
    }),
  '/late': (request, server) =>
    upgrade(request, { server }, async (conn) => {
      const texts = [];
      void conn.receive((message) => texts.push(message.text()));
      // The client of the test may be slow.
      await conn.close(1000, '', { timeout: 30_000 });
      const { wasClean } = await conn.closed;
      facts.late = { texts, wasClean };
    }),
  '/limits': async (request, server) => {
    const wanted = Number(new URL(request.url).searchParams.get('bytes'));
    try {
      return await upgrade(request, { server, readLimit: wanted }, echo);
    } catch (error) {
      return new Response(error.name, { status: 400 });
    }
  },
  // Middleware
  '/middleware/headers': async (request, server) => {
    const response = await upgrade(request, { server }, echo);
    const copy = new Response(response.body, response);
    copy.headers.set('X-Middleware', 'was here');
    return copy;
  },
  '/middleware/refuses': async (request, server) => {
    const response = await upgrade(request, { server }, echo);
    // As Hono does it: a refusal with the headers of the Response before.
    return new Response('no', { status: 403, headers: response.headers });
  },
  '/middleware/throws': async (request, server) => {
    await upgrade(request, { server }, echo);
    throw new Error('middleware');
  },
  '/dropped': async (request, server) => {
    await upgrade(request, { server }, echo);
    return new Response('dropped', { status: 400 });
  },
  '/twice': async (request, server) => {
    kept ??= await upgrade(request, { server }, echo);
    return new Response(null, kept);
  },
};

export default {
  fetch: (request, server) => {
    const { pathname } = new URL(request.url);
    const route = routes[pathname];
    return route === undefined
      ? new Response('nothing here', { status: 404 })
      : route(request, server);
  },
};
