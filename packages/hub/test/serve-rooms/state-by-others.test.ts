// Repairs that programs for a state and its changes have published, as tests of rooms with a state.
import type { RoomRules } from '@ws/hub/rooms';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { Random } from '@ws/tests';
import { expect, it } from 'vitest';
import { Copy, changed, EMPTY, type Table } from './board.ts';
import { startClient, startNode, turns } from './setup.ts';

const ROOM = 'board/7';
type Node = ReturnType<typeof startNode>;

/** A table that nodes of one engine write and publish. A test says how they read it. */
function startBoard(state: RoomRules['state'], nodes = 1, size = 1_000) {
  const broker = new MemoryBroker();
  const random = new Random(1);
  let table: Table = EMPTY;
  const all: Node[] = Array.from({ length: nodes }, () =>
    startNode(
      { 'board/*': { history: { size }, mayJoin: true, state } },
      { backplane: memoryBackplane(broker) },
    ),
  );
  const change = async (count = 1): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const [message, after] = changed(table, random);
      table = after;
      await all[0]!.hub.room(ROOM).publishJSON(message);
    }
  };
  const close = () => Promise.all(all.map(({ hub }) => hub.close({ timeout: 1 })));
  return { nodes: all.map(({ node }) => node), change, close, table: () => table };
}

/** Resolves when a copy is live and equals the table. */
const settled = (copy: Copy, table: () => Table): Promise<void> =>
  expect.poll(() => copy.differs(table())).toEqual([]);

it('a state whose function publishes and waits for it has what it publishes', async () => {
  const board = startBoard(async () => {
    const table = board.table();
    await board.change(3);
    return table;
  });
  const { rooms, live } = startClient(board.nodes[0]!);
  const copy = new Copy(rooms.join(ROOM), ROOM);
  await settled(copy, board.table);
  expect(board.table().n).toBe(3);
  await live.close();
  await board.close();
});

it('a state that is read in pages may have changes of only the later ones', async () => {
  const board = startBoard(async () => {
    const { n, sum, keys } = board.table();
    const pages: [string, number][] = [];
    for (const key of ['k0', 'k1', 'k2', 'k3']) {
      const value = key === 'k0' ? keys[key] : board.table().keys[key];
      if (value !== undefined) pages.push([key, value]);
      await board.change(5);
    }
    return { n, sum, keys: Object.fromEntries(pages) };
  });
  await board.change(20);
  const { rooms, live } = startClient(board.nodes[0]!);
  const copy = new Copy(rooms.join(ROOM), ROOM);
  await settled(copy, board.table);
  await live.close();
  await board.close();
});

it('a state that is late replaces nothing of the connection after it', async () => {
  const late: (() => void)[] = [];
  const board = startBoard(async () => {
    const table = board.table();
    if (late.length === 0) await new Promise<void>((resolve) => late.push(resolve));
    return table;
  }, 2);
  let [node] = board.nodes as [(typeof board.nodes)[0]];
  const { rooms, live, cut } = startClient(() => node);
  const copy = new Copy(rooms.join(ROOM), ROOM);
  await expect.poll(() => late.length).toBe(1);
  node = board.nodes[1]!;
  cut();
  await board.change(3);
  await settled(copy, board.table);
  const { items } = copy;
  late[0]!();
  await turns();
  await board.change();
  await settled(copy, board.table);
  expect(copy.items).toBe(items + 1);
  await live.close();
  await board.close();
});

it('a recovery that is interrupted goes on where the client was, without another state', async () => {
  let calls = 0;
  const board = startBoard(async () => {
    calls++;
    const table = board.table();
    await board.change(300);
    return table;
  });
  const { rooms, live, cut } = startClient(board.nodes[0]!);
  const copy = new Copy(rooms.join(ROOM), ROOM);
  // The state is here, and what follows is on its way.
  await expect.poll(() => copy.items, { interval: 0 }).toBeGreaterThan(0);
  for (let i = 0; i < 5; i++) {
    cut();
    await turns(3);
  }
  await settled(copy, board.table);
  expect(calls).toBe(1);
  await live.close();
  await board.close();
});

it('a position does not move before the state that it belongs to has come', async () => {
  let open: (() => void) | undefined;
  let calls = 0;
  const board = startBoard(
    async () => {
      const table = board.table();
      if (++calls === 2) await new Promise<void>((resolve) => (open = resolve));
      return table;
    },
    2,
    4,
  );
  let [node] = board.nodes as [(typeof board.nodes)[0]];
  const { rooms, live, away, cut } = startClient(() => node);
  const copy = new Copy(rooms.join(ROOM), ROOM);
  await settled(copy, board.table);
  // The history no longer has what the client has missed, and the state is slow.
  await away(() => board.change(10));
  await expect.poll(() => open).toBeDefined();
  node = board.nodes[1]!;
  cut();
  await settled(copy, board.table);
  expect(calls).toBe(3);
  open!();
  await live.close();
  await board.close();
});
