// A login by Passport over express-session. The upgrade sees the same user.
import { scryptSync, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, ServerResponse } from 'node:http';
import process from 'node:process';
import { serve } from '@ws/node-server';
import express, { type Request, type RequestHandler } from 'express';
import session from 'express-session';
import passport from 'passport';
import { Strategy } from 'passport-local';

const { PORT = '0', SECRET = 'a secret for tests only' } = process.env;

// A real application looks up a slow hash with a salt of its own for each user.
const users = new Map([['ada', scryptSync('engine', 'ada', 32)]]);
function check(name: string, password: string): boolean {
  const hash = users.get(name);
  return hash !== undefined && timingSafeEqual(hash, scryptSync(password, name, 32));
}
passport.use(new Strategy((name, password, done) => done(null, check(name, password) && { name })));
passport.serializeUser((user, done) => done(null, (user as User).name));
passport.deserializeUser((name: string, done) => done(null, { name }));

const middleware: RequestHandler[] = [
  session({ secret: SECRET, resave: false, saveUninitialized: false, cookie: { sameSite: 'lax' } }),
  passport.session(),
];
const app = express().use(...middleware);
const form = express.urlencoded({ extended: false });
app.post('/login', form, passport.authenticate('local'), (_req, res) => void res.sendStatus(204));

/** Runs the middleware for an upgrade. @returns undefined for a visitor: the upgrade gets 401. */
async function userOf(incoming: IncomingMessage): Promise<User | undefined> {
  const req = incoming as Request;
  // The middleware sets headers of an answer that is never sent.
  const res = new ServerResponse(incoming) as Parameters<RequestHandler>[1];
  for (const step of middleware) {
    await new Promise<void>((resolve, reject) => {
      void step(req, res, (error?: unknown) => (error === undefined ? resolve() : reject(error)));
    });
  }
  return req.user as User | undefined;
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
