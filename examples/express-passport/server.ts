// A login by Passport over express-session. The upgrade sees the same user.
import { scrypt, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, ServerResponse } from 'node:http';
import process from 'node:process';
import { callbackify, promisify } from 'node:util';
import { admit, serve } from '@ws/node-server';
import express, { type Request, type RequestHandler } from 'express';
import session from 'express-session';
import passport from 'passport';
import { Strategy } from 'passport-local';

const { PORT = '0', SECRET = 'a secret for tests only' } = process.env;
const { SESSION_SECONDS = '3600', LOGINS_PER_MINUTE = '10' } = process.env;

// On other threads: `scryptSync` would stop all connections.
const derive: (password: string, salt: string, length: number) => Promise<Buffer> =
  promisify(scrypt);
// A real application looks up a slow hash with a salt of its own for each user.
const users = new Map([['ada', await derive('engine', 'ada', 32)]]);
const UNKNOWN_USER = Buffer.alloc(32);
async function check(name: string, password: string): Promise<User | false> {
  // An unknown name takes as long as a wrong password.
  const isSame = timingSafeEqual(users.get(name) ?? UNKNOWN_USER, await derive(password, name, 32));
  return isSame && { name };
}
passport.use(new Strategy(callbackify(check)));
passport.serializeUser((user, done) => done(null, (user as User).name));
passport.deserializeUser((name: string, done) => done(null, { name }));

const middleware: RequestHandler[] = [
  session({
    secret: SECRET,
    resave: false,
    saveUninitialized: false,
    cookie: { sameSite: 'lax', maxAge: Number(SESSION_SECONDS) * 1000 },
  }),
  passport.session(),
];
/** The logins of each address in this minute. */
const logins = new Map<string, number>();
setInterval(() => logins.clear(), 60_000).unref();
const bounded: RequestHandler = ({ ip = '' }, res, next) => {
  const count = logins.get(ip) ?? 0;
  if (count >= Number(LOGINS_PER_MINUTE) || logins.size > 1_000) return void res.sendStatus(429);
  logins.set(ip, count + 1);
  next();
};
const app = express().use(...middleware);
const form = express.urlencoded({ extended: false });
app.post('/login', bounded, form, passport.authenticate('local'), (_req, res) => {
  res.sendStatus(204);
});

/** Runs the middleware for an upgrade. @returns undefined for a visitor: the upgrade gets 401. */
async function userOf(incoming: IncomingMessage) {
  const req = incoming as Request;
  // The middleware sets headers of an answer that is never sent.
  const res = new ServerResponse(incoming) as Parameters<RequestHandler>[1];
  for (const step of middleware) {
    await new Promise<void>((resolve, reject) => {
      void step(req, res, (error?: unknown) => (error === undefined ? resolve() : reject(error)));
    });
  }
  return req.user && admit(req.user as User, { expires: req.session.cookie.expires! });
}

const http = createServer(app);
const server = await serve(
  { server: http, port: Number(PORT), host: '127.0.0.1', authenticate: userOf },
  async (conn, _req, { auth: user }) => {
    await conn.send(`hello ${user.name}`);
    await conn.receive((message) => conn.send(message));
  },
);

interface User {
  readonly name: string;
}

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    http.close();
    void server.close();
    setTimeout(() => http.closeAllConnections(), 2_000).unref();
  });
}
console.log(server.url.replace(/^ws/, 'http'));
