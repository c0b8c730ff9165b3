/** Methods of a Conn, of ws and of socket.io. */
export const LIVE_HABITS = {
  'read with receive(handler) or for await (const message of live)': [
    'addEventListener',
    'messages',
    'nextReader',
    'readJSON',
    'readMessage',
  ],
  'it dials by itself; reconnect() dials at once': ['connect'],
  'write close()': ['disconnect'],
  'write send(data), or writeJSON(value)': ['emit'],
  'on(event, listener) returns a function that removes the listener': [
    'off',
    'once',
    'removeListener',
  ],
} as const;

/** Not in the types: your code may set a property of such a name. */
export const LIVE_FACTS = { 'write state': ['connected', 'readyState'] } as const;
