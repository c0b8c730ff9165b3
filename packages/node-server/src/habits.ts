/** Methods of ws, socket.io, Bun and node:http. */
export const SERVER_HABITS = {
  'write server.url': ['address'],
  'server is an option of serve': ['attach'],
  'broadcast(server.connections, data) is a function': ['broadcast'],
  'broadcast(server.connections, data) sends to all': ['emit', 'send'],
  'new Upgrader() is for a server of your own': ['handleUpgrade', 'upgrade'],
  'rooms are of a Hub (@ws/hub), write serve(options, hub.handler)': ['in', 'publish', 'to'],
  'it listens already; port is an option of serve': ['listen'],
  'a path is a key of the routes: serve(options, { "/path": handler })': ['of'],
  'the handler is an argument: serve(options, (conn, request) => { ... })': ['off', 'on', 'once'],
  'write server.close()': ['shutdown', 'stop'],
  'authenticate is an option of serve': ['use'],
} as const;

/** Properties of ws, socket.io, Bun and node:http. */
export const SERVER_FACTS = { 'write server.connections': ['clients', 'sockets'] } as const;

/** Not in the types: your code may set a property of such a name. */
export const SERVER_URL = { 'write server.url': ['hostname', 'port'] } as const;
