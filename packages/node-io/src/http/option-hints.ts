/**
 * Options of other libraries (ws, socket.io, fetch), and the one to use instead. An entry applies
 * to functions with the option that its value names first.
 */
const RENAMED: Readonly<Record<string, string>> = {
  maxPayload: 'readLimit',
  maxHttpBufferSize: 'readLimit',
  perMessageDeflate: 'compression',
  zlibDeflateOptions: 'level',
  serverNoContextTakeover: "mode: 'shared'",
  clientNoContextTakeover: "mode: 'shared'",
  verifyClient: 'authenticate',
  allowRequest: 'authenticate',
  handleProtocols: 'subprotocols',
  protocol: 'subprotocols',
  protocols: 'subprotocols',
  cors: 'allowedOrigins',
  origins: 'allowedOrigins',
  origin: 'headers: { Origin }',
  auth: 'headers: { Authorization }',
  extraHeaders: 'headers',
  maxRedirects: 'followRedirects',
  agent: 'proxy',
  createConnection: 'netDial',
  backlog: 'listen: { backlog }',
  ca: 'tls: { ca }',
  cert: 'tls: { cert }',
  key: 'tls: { key }',
  rejectUnauthorized: 'tls: { rejectUnauthorized }',
  servername: 'tls: { servername }',
  checkServerIdentity: 'tls: { checkServerIdentity }',
  connectTimeout: 'handshakeTimeout',
  timeout: 'handshakeTimeout',
  pingInterval: 'heartbeat: { interval }',
  pingTimeout: 'heartbeat: { timeout }',
  reconnectionDelay: 'minDelay',
  reconnectionDelayMax: 'maxDelay',
  reconnectionAttempts: 'retry',
  closeHandshakeTimeout: 'closeTimeout',
};

/** Options of our own functions, and the function that has them. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  serve: [
    'port',
    'host',
    'socketPath',
    'listen',
    'server',
    'request',
    'authenticate',
    'checkOrigin',
    'allowedOrigins',
    'allowedHosts',
    'sameHost',
    'trustProxy',
    'clientAddress',
    'unmatched',
    'maxHandshakes',
    'maxConnections',
    'maxConnectionsPerAddress',
    'maxTotalBufferedAmount',
    'autoResponse',
    'rate',
    'maxLifetime',
  ],
  dial: [
    'proxy',
    'proxyTls',
    'netDial',
    'netDialTLS',
    'lookup',
    'family',
    'localAddress',
    'followRedirects',
    'jar',
  ],
  reconnecting: ['minDelay', 'maxDelay', 'stopCodes', 'retry'],
  ReconnectingConn: ['onOpen', 'maxQueuedBytes', 'maxQueuedMessages'],
};

/** Names that no function takes, or only a few, and what to do instead. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  routes: 'routes are the second argument of serve',
  handler: 'the handler is a separate argument, after the options',
  clientTracking: 'the server always has its connections, in server.connections',
  noServer: 'use new Upgrader() for your own server',
  autoPong: 'use conn.setPingHandler to replace the automatic pong',
  skipUTF8Validation: 'text is always checked',
  allowSynchronousEvents: 'messages are read in order, with for await or receive(handler)',
  WebSocket: 'a Conn cannot be replaced; conn.data is yours',
  finishRequest: 'use headers',
  protocolVersion: 'the version is always 13',
  generateMask: 'masks are random',
  zlibInflateOptions: 'messages are inflated within readLimit',
  concurrencyLimit: 'all connections of a process share the threads of zlib',
  reconnection: 'use the function reconnecting instead',
  transports: 'WebSocket is the only transport',
  autoConnect: 'dial connects at once',
  forceNew: 'each dial opens a connection of its own',
};

/**
 * Returns what to write instead of options that come from another library, for a function with the
 * options `known`: the last argument of `checkOptionNames`.
 */
export function optionHints(known: readonly string[]): Readonly<Record<string, string>> {
  const renamed = Object.entries(RENAMED).filter(([, option]) => {
    return known.includes(/^\w+/.exec(option)![0]);
  });
  const ofOthers = Object.entries(OWNERS).flatMap(([owner, names]) =>
    names.map((name) => [name, `it is an option of ${owner}`]),
  );
  return {
    ...Object.fromEntries(ofOthers),
    ...ELSEWHERE,
    ...Object.fromEntries(renamed.map(([name, option]) => [name, `use ${option}`])),
  };
}
