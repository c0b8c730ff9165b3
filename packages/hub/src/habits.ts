// What ws, socket.io and Bun have under these names, and what to write here instead.

export const HUB_HABITS = {
  'write hub.on(event, listener)': ['addListener'],
  'write serve(options, hub.handler)': ['attach', 'listen'],
  'write hub.room(name).publish(data), or hub.broadcast(data) for all sessions': [
    'emit',
    'publish',
    'send',
  ],
  'write hub.room(name)': ['in', 'of', 'to'],
  'write session.join(room)': ['join', 'subscribe'],
  'write session.leave(room)': ['leave'],
  'hub.on returns a function that removes the listener': ['off', 'once', 'removeListener'],
  'write hub.room(name).publishJSON(value)': ['publishJSON'],
  'authenticate is an option of serve': ['use'],
} as const;

export const HUB_FACTS = {
  'write hub.sessions': ['clients', 'connections', 'sockets'],
} as const;

export const SESSION_HABITS = {
  "write hub.on('message', (session, message) => …), and hub.on('disconnect', …)": [
    'addEventListener',
    'addListener',
    'on',
    'once',
  ],
  'write hub.room(name).publish(data, { except: session })': ['broadcast', 'in', 'publish', 'to'],
  'write close(code, reason)': ['disconnect'],
  'write send(data), or writeJSON(value)': ['emit'],
  'hub.on returns a function that removes the listener': ['off'],
  'write join(room)': ['subscribe'],
  'write conn.terminate()': ['terminate'],
  'write leave(room)': ['unsubscribe'],
} as const;

export const SESSION_FACTS = {
  'request has the headers, and data what authenticate returned': ['handshake'],
} as const;

export const ROOM_HABITS = {
  'write publish(data), or publishJSON(value)': ['broadcast', 'emit', 'send', 'writeJSON'],
  'write session.join(room)': ['join'],
  'write session.leave(room)': ['leave'],
  "write hub.on('message', (session, message) => …), and hub.on('disconnect', …)": ['on'],
} as const;

export const ROOM_FACTS = {
  'write members': ['clients', 'sessions', 'sockets'],
  'write members.size, or await hub.everywhere.count(room)': ['size'],
} as const;

export const SERVER_HABITS = {
  'write rooms.hub.broadcast(data)': ['broadcast'],
  'write rooms.hub.close()': ['close'],
  'write rooms.hub.room(name)': ['in', 'room', 'to'],
  'clients join by roomsOf(live).join(room)': ['join'],
  'write rooms.hub.room(name).presence': ['members'],
  'hub.on returns a function that removes the listener': ['off'],
  'write rooms.hub.on(event, listener)': ['on'],
  'write rooms.hub.room(name).publishJSON(value)': ['publish', 'publishJSON', 'send'],
} as const;
