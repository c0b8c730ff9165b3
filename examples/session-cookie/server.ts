// A login sets a session cookie; the upgrade checks it; a logout closes what the session has opened.
import { scrypt, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import process from 'node:process';
import { promisify } from 'node:util';
import { serve } from '@ws/node-server';
import { Sessions, sessionId } from './sessions.ts';

const { PORT = '0', SESSION_SECONDS = '3600' } = process.env;
if (!/^[1-9]\d{0,8}$/.test(SESSION_SECONDS)) {
  console.error(`SESSION_SECONDS: expected 1 to 999999999, got ${JSON.stringify(SESSION_SECONDS)}`);
  process.exit(1);
}
/** What this server is called, without the port. Any name can be made to point here (DNS rebinding): others are refused. */
const HOSTS = ['127.0.0.1', 'localhost'];
const sessions = new Sessions(Number(SESSION_SECONDS));
const scryptAsync: (password: string, salt: string, length: number) => Promise<Buffer> =
  promisify(scrypt);
/** In a database, and with a salt for each. */
const USERS = new Map([['ada', await derive('analytical engine')]]);
const NOBODY = Buffer.alloc(32);

const server = await serve(
  {
    port: Number(PORT),
    host: '127.0.0.1',
    allowedHosts: HOSTS,
    request: (req, res) => void answer(req, res).catch(() => res.destroy()),
    // Runs before there is a connection. The browser sends the cookie by itself, also for a foreign page: the check of
    // the origin, which is on by default, comes first and refuses that.
    authenticate: (req) => sessions.find(sessionId(req.headers.cookie)) ?? { refuse: 401 },
  },
  async (conn, _req, { auth: session }) => {
    session.add(conn);
    await conn.send(`hello ${session.user}`);
    await conn.receive((message) => conn.send(message));
  },
).catch((error: Error) => {
  // A port that is in use, or none: the reason is enough.
  console.error(String(error));
  process.exit(1);
});
console.log(server.url.replace(/^ws/, 'http'));

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { origin, host = '', cookie } = req.headers;
  const foreign = origin !== undefined && !origin.endsWith(`://${host}`);
  // `allowedHosts` guards the upgrades alone.
  if (!HOSTS.includes(host.replace(/:\d+$/, ''))) res.writeHead(421).end();
  else if (req.method !== 'POST') res.writeHead(404).end();
  else if (foreign) res.writeHead(403).end();
  else if (req.url === '/login') await login(req, res);
  else if (req.url === '/logout') {
    sessions.end(sessionId(cookie));
    res.writeHead(204, { 'Set-Cookie': 'session=; Path=/; Max-Age=0' }).end();
  } else res.writeHead(404).end();
}

async function login(req: IncomingMessage, res: ServerResponse): Promise<void> {
  let body = '';
  for await (const chunk of req) if (body.length < 1000) body += chunk;
  const form = new URLSearchParams(body);
  const user = form.get('user') ?? '';
  const known = USERS.get(user);
  // As long for a name that does not exist as for a wrong password.
  const same = timingSafeEqual(known ?? NOBODY, await derive(form.get('password') ?? ''));
  if (known === undefined || !same) res.writeHead(401).end('wrong name or password\n');
  else {
    // The browser forgets the old cookie: nobody could end that session any more.
    sessions.end(sessionId(req.headers.cookie), 'logged in again');
    res.writeHead(204, { 'Set-Cookie': sessions.open(user) }).end();
  }
}

function derive(password: string): Promise<Buffer> {
  return scryptAsync(password, 'a salt', 32);
}

// `on`, not `once`: Ctrl-C may come twice, from the terminal and from npm.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void server.close());
}
