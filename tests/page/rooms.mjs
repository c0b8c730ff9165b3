// A program for a page: calls, a stream, and rooms over two breaks. `url` is the server of rooms.ts, `ended` gets the result.
import { ReconnectingConn } from '@ws/browser';
import { contract, event, method, stream } from '@ws/rpc';
import { roomsOf } from '@ws/rpc/rooms';

const any = {
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) },
};
const api = contract({
  server: { echo: method(any, any), count: stream(any, any), cut: event(any) },
});

async function main() {
  const { url, lacked } = globalThis;
  const reports = [];
  const live = new ReconnectingConn(url, {
    minDelay: 1,
    maxDelay: 5,
    report: (error) => reports.push(String(error)),
  });
  const rooms = roomsOf(live, {
    contract: api,
    schemas: { 'plain/*': { message: any }, 'state/*': { message: any, state: any } },
  });
  const texts = ['hello', 'grüße, 你好 '.repeat(40)];
  for (const text of texts) same(await rooms.peer.echo(text), text);
  const counted = [];
  for await (const item of rooms.peer.count(3)) counted.push(item);
  same(counted, [1, 2, 3]);

  const names = [`plain/${lacked}`, `plain/${lacked}`, `state/${lacked}`, `state/${lacked}`];
  const loops = names.map((name) => new Loop(rooms, name));
  for (const loop of loops) await loop.until((kinds) => kinds.includes('live'));
  await publish(rooms, names, 'first');
  for (const loop of loops) await loop.until(() => loop.data.includes('first'));

  // A break by this end, then one by the server.
  const breaks = [() => live.reconnect(), () => rooms.peer.cut(null)];
  for (const [i, cut] of breaks.entries()) {
    await cut();
    for (const loop of loops) {
      await loop.until((kinds) => kinds.filter((kind) => kind === 'live').length === i + 2);
    }
    await publish(rooms, names, `after ${i}`);
    for (const loop of loops) await loop.until(() => loop.data.includes(`after ${i}`));
  }
  for (const loop of loops) {
    same(loop.data, ['first', 'after 0', 'after 1']);
    if (loop.name.startsWith('state')) same(loop.kinds.includes('state'), true);
    same(loop.kinds.includes('gap'), false);
  }
  await Promise.all(loops.map((loop) => loop.end()));
  await live.close();
  same(reports, []);
}

async function publish(rooms, names, text) {
  await rooms.publish(names[0], text);
  await rooms.publish(names[2], text);
}

/** A loop over a room, with what it has got. */
class Loop {
  kinds = [];
  data = [];
  #messages;
  #done;
  #arrived = () => {};

  constructor(rooms, name) {
    this.name = name;
    this.#messages = rooms.join(name);
    this.#done = this.#run();
  }

  async #run() {
    for await (const message of this.#messages) {
      this.kinds.push(message.kind);
      if (message.kind === 'message') this.data.push(message.data);
      this.#arrived();
    }
  }

  async until(condition) {
    while (!condition(this.kinds)) {
      await Promise.race([new Promise((resolve) => (this.#arrived = resolve)), this.#done]);
    }
  }

  async end() {
    await this.#messages.return();
    await this.#done;
  }
}

function same(got, wanted) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`got ${a} instead of ${b}`);
}

main().then(
  () => globalThis.ended(),
  (error) => globalThis.ended(error),
);
