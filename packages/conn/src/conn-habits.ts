/** Methods of ws, socket.io and Bun. */
export const CONN_HABITS = {
  'a Conn emits no events; read with receive(handler) or for await, and await conn.closed': [
    'addEventListener',
    'addListener',
    'off',
    'on',
    'once',
    'removeAllListeners',
    'removeEventListener',
    'removeListener',
  ],
  'broadcast(conns, data) is a function': ['broadcast'],
  'write close(code, reason)': ['disconnect', 'end'],
  'write terminate()': ['destroy'],
  'a peer waits by itself while no code reads': ['pause', 'resume'],
  'pings are answered by themselves': ['pong'],
  'write toDuplex(conn) or toStreams()': ['pipe'],
  'frames of one turn leave together by themselves': ['cork'],
  'write send(data), or writeJSON(value)': ['emit', 'sendBinary', 'sendText', 'write', 'writeText'],
  'rooms are of a Hub (@ws/hub), write hub.room(name)': [
    'in',
    'join',
    'leave',
    'publish',
    'subscribe',
    'to',
    'unsubscribe',
  ],
  'write for await (const message of conn)': ['messages'],
  'write readMessage()': ['read', 'readText', 'recv'],
  'write writeJSON(value)': ['sendJSON'],
} as const;

/** Properties of ws, socket.io and Bun. Not in the types: your code may set a property of such a name. */
export const CONN_FACTS: Record<string, readonly string[]> = {
  'the handler gets the request as its second argument; a client has conn.response': [
    'handshake',
    'headers',
    'url',
  ],
  'write remoteAddr, or clientAddress of the request behind a proxy': ['ip'],
  'write subprotocol': ['protocol'],
  'write state, which is open, closing or closed': ['readyState'],
  'write remoteAddr': ['remoteAddress'],
};
