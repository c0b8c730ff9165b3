/**
 * Options of other libraries (ws, socket.io, fetch), and the one to use instead. An entry applies
 * where its first word is a known option.
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
  ca: 'tls: { ca }',
  cert: 'tls: { cert }',
  key: 'tls: { key }',
  rejectUnauthorized: 'tls: { rejectUnauthorized }',
  servername: 'tls: { servername }',
  connectTimeout: 'handshakeTimeout',
  timeout: 'handshakeTimeout',
  pingInterval: 'heartbeat: { interval }',
  pingTimeout: 'heartbeat: { timeout }',
  reconnectionDelay: 'minDelay',
  reconnectionDelayMax: 'maxDelay',
  reconnectionAttempts: 'retry',
  closeHandshakeTimeout: 'closeTimeout',
};

/** Names that are no option of any function here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  routes: 'routes are the second argument of serve',
  handler: 'the handler is an argument of its own, after the options',
  clientTracking: 'the server always has its connections, in server.connections',
  noServer: 'use new Upgrader() for a server of your own',
  autoPong: 'use conn.setPingHandler to replace the automatic pong',
  skipUTF8Validation: 'text is always checked',
  reconnection: 'use the function reconnecting instead',
};

/**
 * Returns what to write instead of an unknown option: its name here, where it belongs, or the known
 * name with almost the same spelling. Undefined for a name without resemblance.
 */
export function optionHint(name: string, known: readonly string[]): string | undefined {
  const renamed = ownEntry(RENAMED, name);
  if (renamed !== undefined && known.includes(/^\w+/.exec(renamed)![0])) return `use ${renamed}`;
  const elsewhere = ownEntry(ELSEWHERE, name);
  if (elsewhere !== undefined) return elsewhere;
  const near = nearest(name, known);
  return near === undefined ? undefined : `did you mean ${near}?`;
}

/** `constructor` and others are no entries. */
function ownEntry(table: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** The known name to which the fewest changes lead, about one for three characters. */
function nearest(name: string, known: readonly string[]): string | undefined {
  // The distance costs the product of both lengths. No option is so long.
  if (name.length > 40) return undefined;
  let best: string | undefined;
  let least = Math.ceil(name.length / 3) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance >= least) continue;
    least = distance;
    best = candidate;
  }
  return best;
}

/** Levenshtein distance: insertions, deletions and replacements of one character. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 0; i < from.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < to.length; j++) {
      const replaced = row[j]! + (from[i] === to[j] ? 0 : 1);
      next.push(Math.min(replaced, row[j + 1]! + 1, next[j]! + 1));
    }
    row = next;
  }
  return row[to.length]!;
}
