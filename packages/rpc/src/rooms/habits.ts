/** Methods of socket.io and Bun. */
export const ROOMS_HABITS = {
  'write publish(room, data)': ['broadcast', 'emit', 'in', 'publishJSON', 'send', 'to'],
  'close the ReconnectingConn': ['close', 'disconnect'],
  'end its loop, by break or return()': ['leave', 'unsubscribe'],
  'on(event, listener) returns a function that removes the listener': ['off'],
  'write on(event, listener)': ['once'],
  'write join(room), publish(room, data) or members(room)': ['room'],
  'write for await (const item of rooms.join(room))': ['subscribe'],
} as const;
