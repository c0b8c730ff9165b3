// Users of a chat: each joins a room, and says something at each turn. The server sends what is said
// to all members of the room.
//
//   pnpm bench load ws://127.0.0.1:8080 --script bench/examples/chat-room.mjs

/** @type {import('../src/load/script.ts').ScriptOptions} */
export const options = {
  stages: [
    { duration: '1s', connections: 10, rate: 100 },
    { duration: '2s', connections: 10, rate: 100 },
  ],
  thresholds: ['p95<500', 'rate>20', 'errors<1%'],
};

/** @type {import('../src/load/script.ts').Script} */
export default async function (user) {
  const socket = await user.connect({ path: `/rooms/${user.id % 3}` });
  await socket.expect('welcome');
  for (let i = 0; await user.next(); i++) {
    const said = `${user.id} says ${i}`;
    socket.send(said);
    // Messages of the other members arrive too.
    await socket.expect(said, { skip: true });
  }
}
