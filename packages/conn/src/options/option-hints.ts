import { hasOwn, nearName } from '../validate.ts';

/** Advice for all functions, or only for functions with the option `with`. */
type Hint = string | { readonly with: string; readonly say: string };

const IN_URL = 'it belongs into the URL';
const HANDLER = 'the handler is a separate argument, after the options';
const IN_RECONNECTING = 'a ReconnectingConn dials again, see its options';
const OF_EACH_DIAL = 'it is an option of each dial, not of the Dialer';

/**
 * Advice by the name of an unknown option. A function gets the first hint that fits. A text that
 * begins with `use x` fits only functions with the option x.
 */
const HINTS: Readonly<Record<string, Hint | readonly Hint[]>> = {
  // Options of ws, socket.io, fetch, node:https and http-proxy.
  ackTimeout: 'timeout is an option of each call',
  adapter: ['use backplane', 'backplane is an option of new Hub'],
  agent: 'use proxy',
  allowRequest: 'use authenticate',
  allowSynchronousEvents: 'messages are read in order, with for await or receive(handler)',
  auth: ['use authenticate', 'use headers: { Authorization }'],
  autoReconnect: ['a ReconnectingConn dials again', IN_RECONNECTING],
  autoConnect: 'dial connects at once',
  autoPong: 'conn.setPingHandler replaces the automatic pong',
  backpressureLimit: 'use maxBufferedAmount',
  backlog: 'use listen: { backlog }',
  ca: 'use tls: { ca }',
  cert: 'use tls: { cert }',
  changeOrigin: { with: 'director', say: "use host: 'target'" },
  checkServerIdentity: 'use tls: { checkServerIdentity }',
  clientNoContextTakeover: "use mode: 'shared'",
  clientTracking: 'the server always has its connections, in server.connections',
  closeHandshakeTimeout: 'use closeTimeout',
  closeTimeout: 'use timeout',
  concurrencyLimit: 'a message is compressed in the turn of its send, within maxBytes',
  connectionStateRecovery: 'serveRooms of @ws/hub/rooms keeps what clients miss',
  connectTimeout: 'use handshakeTimeout',
  CheckOrigin: 'use checkOrigin',
  cookie: 'use headers: { Cookie }',
  cookies: 'use headers: { Cookie }',
  cors: 'use allowedOrigins',
  createConnection: 'use netDial',
  enableCompression: 'use compression',
  exclude: 'use except',
  expiresAt: 'use expires',
  extraHeaders: 'use headers',
  fetch: 'serveFetch of @ws/fetch/node takes a fetch handler',
  finishRequest: 'use headers',
  forceNew: 'each dial opens a connection of its own',
  generateMask: 'masks are random',
  history: { with: 'backplane', say: "use rooms: { 'chat/*': { history: true } }" },
  HandshakeTimeout: 'use handshakeTimeout',
  handleProtocols: 'use subprotocols',
  hostname: 'use host',
  idleTimeout: 'use heartbeat: { interval, timeout }, in ms',
  keepAlive: 'use heartbeat',
  key: 'use tls: { key }',
  limit: 'use last',
  logger: 'use report',
  maxBackpressure: 'use maxBufferedAmount',
  maxClients: 'use maxConnections',
  maxHttpBufferSize: 'use readLimit',
  maxPayload: 'use readLimit',
  maxPayloadLength: 'use readLimit',
  maxRedirects: 'use followRedirects',
  maxRetries: ['use retry', IN_RECONNECTING],
  namespace: "a path is a key of the routes, { '/path': handler }",
  nats: 'use backplane: natsBackplane(connection)',
  noServer: 'new Upgrader() is for your own server',
  onClose: HANDLER,
  onConnect: HANDLER,
  message: HANDLER,
  onMessage: HANDLER,
  onmessage: HANDLER,
  onConnection: HANDLER,
  onError: 'use report',
  origin: ['use allowedOrigins', 'use headers: { Origin }'],
  origins: 'use allowedOrigins',
  perMessageDeflate: 'use compression',
  ping: 'use heartbeat',
  pingInterval: 'use heartbeat: { interval }',
  pingTimeout: 'use heartbeat: { timeout }',
  protocol: 'use subprotocols',
  protocols: 'use subprotocols',
  presence: { with: 'backplane', say: "use rooms: { 'chat/*': { presence } }" },
  protocolVersion: 'the version is always 13',
  rateLimit: ['use rate', 'rate is an option of serve'],
  reconnect: 'a ReconnectingConn dials again',
  reconnectInterval: ['use minDelay', IN_RECONNECTING],
  redis: 'use backplane: redisBackplane(client)',
  reconnection: 'the function reconnecting does that',
  reconnectionAttempts: ['use retry', IN_RECONNECTING],
  reconnectionDelay: ['use minDelay', IN_RECONNECTING],
  reconnectionDelayMax: ['use maxDelay', IN_RECONNECTING],
  rejectUnauthorized: 'use tls: { rejectUnauthorized }',
  retries: ['use retry', IN_RECONNECTING],
  router: { with: 'director', say: 'the target may be a function of the request' },
  secure: { with: 'director', say: 'use tls: { rejectUnauthorized } of a target' },
  sendPings: 'use heartbeat',
  servername: 'use tls: { servername }',
  serverNoContextTakeover: "use mode: 'shared'",
  skipUTF8Validation: 'text is always checked',
  ssl: 'use tls',
  timeout: 'use handshakeTimeout',
  token: 'use headers: { Authorization }',
  transports: 'WebSocket is the only transport',
  verifyClient: 'use authenticate',
  weight: { with: 'director', say: 'it belongs to a target, { url, weight }' },
  WebSocket: 'a Conn cannot be replaced; conn.data is yours',
  withCredentials: 'a browser sends cookies by itself; elsewhere use headers: { Cookie }',
  xfwd: 'use forwarded',
  zlibDeflateOptions: 'use level',
  zlibInflateOptions: 'messages are inflated within readLimit',

  // Options of this library, passed to the wrong function.
  alive: 'use heartbeat, which finds a dead connection by pings',
  handler: HANDLER,
  headers: [
    { with: 'director', say: 'use director, or headers of a target' },
    { with: 'jar', say: OF_EACH_DIAL },
  ],
  host: { with: 'jar', say: IN_URL },
  path: [
    {
      with: 'socketPath',
      say: "use socketPath for a Unix socket; for a request path pass routes as the second argument, { '/path': handler }",
    },
    { with: 'checkOrigin', say: "a path is a key of the routes, { '/path': handler }" },
    { with: 'jar', say: IN_URL },
  ],
  port: { with: 'jar', say: IN_URL },
  query: { with: 'jar', say: IN_URL },
  request: 'use fallback, a server of node:http',
  routes: "pass the routes as the second argument, { '/path': handler }",
  server: 'use fallback, a server of node:http; a RawUpgrader takes streams of your own server',
  signal: [
    { with: 'port', say: 'use server.close() to stop the server' },
    { with: 'jar', say: OF_EACH_DIAL },
  ],
  socketPath: [
    { with: 'jar', say: 'write the URL ws+unix:/run/app.sock:/path' },
    { with: 'backlog', say: 'use path' },
  ],
  target: 'it is the first argument of createProxy',
  targets: 'they are the first argument of createProxy',
  tls: { with: 'director', say: 'it is an option of each target' },
};

/** Options that only the named functions of this library have. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  serve: [
    'allowedHosts',
    'allowedOrigins',
    'authenticate',
    'checkOrigin',
    'clientAddress',
    'handshakes',
    'host',
    'http2',
    'limits',
    'listen',
    'maxConnections',
    'maxHandshakes',
    'maxLifetime',
    'maxTotalBufferedAmount',
    'port',
    'rate',
    'request',
    'replaceStale',
    'sameHost',
    'server',
    'socketPath',
    'tls',
    'trustProxy',
    'unmatched',
  ],
  dial: [
    'family',
    'followRedirects',
    'jar',
    'localAddress',
    'lookup',
    'netDial',
    'netDialTLS',
    'proxy',
    'proxyTls',
  ],
  'serve and dial': ['compression', 'heartbeat', 'readLimit', 'subprotocols'],
  reconnecting: ['maxDelay', 'minDelay', 'retry', 'stopCodes'],
  ReconnectingConn: ['maxQueuedBytes', 'maxQueuedMessages', 'onOpen', 'resend'],
  'new Hub': ['backplane', 'maxRooms', 'mayJoin', 'rooms'],
};

/**
 * Returns advice for the unknown option `name` of a function with the options `known`; undefined if
 * there is none. An argument of `checkOptionNames`.
 */
export function optionHint(name: string, known: readonly string[]): string | undefined {
  // Not a plain lookup, which would find `constructor`.
  const hints: readonly Hint[] = hasOwn(HINTS, name) ? [HINTS[name]!].flat() : [];
  for (const hint of hints) {
    const { with: needed, say } =
      typeof hint === 'string' ? { with: /^use (\w+)/.exec(hint)?.[1], say: hint } : hint;
    if (needed === undefined || known.includes(needed)) return say;
  }
  const owner = Object.keys(OWNERS).find((each) => OWNERS[each]!.includes(name));
  return owner === undefined ? nearName(name, known) : `it is an option of ${owner}`;
}
