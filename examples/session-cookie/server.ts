// A login sets a session cookie, and the upgrade checks it. A logout closes the connections of the
// session.
import { scrypt, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import process from 'node:process';
import { promisify } from 'node:util';
import { admit, serve } from '@ws/node-server';
import { Attempts } from './attempts.ts';
import { Sessions, sessionId } from './sessions.ts';

const { PORT = '0', SESSION_SECONDS = '3600', LOGINS_PER_MINUTE = '10' } = process.env;
for (const [name, text] of Object.entries({ SESSION_SECONDS, LOGINS_PER_MINUTE })) {
  if (/^[1-9]\d{0,8}$/.test(text)) continue;
  console.error(`${name}: expected 1 to 999999999, got ${JSON.stringify(text)}`);
  process.exit(1);
}
/** Names of this server, without the port. Others are refused: any name can point here (DNS rebinding). */
const HOSTS = ['127.0.0.1', 'localhost'];
const sessions = new Sessions(Number(SESSION_SECONDS));
/** Each attempt costs an scrypt. */
const attempts = new Attempts(Number(LOGINS_PER_MINUTE));
const scryptAsync: (password: string, salt: string, length: number) => Promise<Buffer> =
  promisify(scrypt);
/** A real server has a database, and a salt for each user. */
const USERS = new Map([['ada', await derive('analytical engine')]]);
const UNKNOWN_USER = Buffer.alloc(32);

const server = await serve(
  {
    port: Number(PORT),
    host: '127.0.0.1',
    allowedHosts: HOSTS,
    request: (req, res) => void answer(req, res).catch(() => res.destroy()),
    // Runs before the connection exists. The browser sends the cookie for foreign pages too. The
    // origin check, on by default, refuses those first. Without a session the answer is 401.
    authenticate: (req) => {
      const session = sessions.find(sessionId(req.headers.cookie));
      return session && admit(session, { expires: session.expires });
    },
  },
  async (conn, _req, { auth: session }) => {
    session.add(conn);
    await conn.send(`hello ${session.user}`);
    await conn.receive((message) => conn.send(message));
  },
).catch((error: Error) => {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
});

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { origin, host = '', cookie } = req.headers;
  const foreign = origin !== undefined && !origin.endsWith(`://${host}`);
  // `allowedHosts` checks upgrades only.
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
  if (!attempts.take(req.socket.remoteAddress ?? '')) {
    res.writeHead(429, { 'Retry-After': '60', Connection: 'close' }).end('too many logins\n');
    return;
  }
  let body = '';
  for await (const chunk of req) if (body.length < 1000) body += chunk;
  const form = new URLSearchParams(body);
  const user = form.get('user') ?? '';
  const known = USERS.get(user);
  // An unknown name takes as long as a wrong password.
  const same = timingSafeEqual(known ?? UNKNOWN_USER, await derive(form.get('password') ?? ''));
  if (known === undefined || !same) res.writeHead(401).end('wrong name or password\n');
  else {
    // The new cookie replaces the old one in the browser, so end the old session.
    sessions.end(sessionId(req.headers.cookie), 'logged in again');
    res.writeHead(204, { 'Set-Cookie': sessions.open(user) }).end();
  }
}

function derive(password: string): Promise<Buffer> {
  return scryptAsync(password, 'a salt', 32);
}

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void server.close());
}
console.log(server.url.replace(/^ws/, 'http'));
