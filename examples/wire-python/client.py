"""A client of calls and rooms by docs/wire.md, with the library `websockets`. Copy the class Client.
`python3 client.py URL` reads a step a line from stdin, and prints a line for each item, answer and end."""
import asyncio, json, random, secrets, sys, threading, time
from collections import OrderedDict
import websockets

FINAL = (401, 403, 1008, 4409, 4426)  # no dial after these statuses and close codes

class Room:
    def __init__(self, name, since=None):
        self.name, self.position = name, since
        self.seen = OrderedDict()  # id -> data of the last 1,000 messages
        self.got_message = self.got_gap = False  # since the last join; a state counts as both
        self.members = {"count": 0, "complete": False, "members": {}}

class Client:
    def __init__(self, url, show, **version):  # version=3, of your contract; show(dict) gets each item
        self.url, self.show, self.version = url, show, version
        self.rooms, self.waiting, self.unsent = {}, {}, []
        self.out, self.last_id, self.delay, self.newer_since = None, 0, 0, None

    async def run(self):
        while True:
            await asyncio.sleep(random.uniform(self.delay / 2, self.delay))
            self.delay = min(max(1, 2 * self.delay), 30)
            code = None
            try:
                async with websockets.connect(self.url, max_size=16 * 2**20) as socket:
                    code = await self.talk(socket)
            except (OSError, asyncio.TimeoutError, websockets.WebSocketException) as error:
                answer = getattr(error, "response", error)  # of websockets 13 and newer
                code = getattr(answer, "status_code", None)
                if code in (429, 503) and (after := answer.headers.get("Retry-After", "")).isdigit():
                    await asyncio.sleep(min(int(after), 60))
            if code in FINAL or (self.newer_since and time.monotonic() - self.newer_since > 60):
                return self.show({"kind": "end", "code": code})

    async def talk(self, socket):
        async def write(out):
            while True:
                await socket.send(await out.get())

        self.out = asyncio.Queue()
        writer = asyncio.ensure_future(write(self.out))
        self.send(id="$/hello", method="$/hello", params={"wire": 1, **self.version})
        for room in self.rooms.values():
            self.join(room)
        for _ in range(len(self.unsent)):
            self.request(*self.unsent.pop(0))
        try:
            async for text in socket:
                self.take(json.loads(text))
        except websockets.ConnectionClosed:
            pass
        writer.cancel()
        self.out, waiting, self.waiting = None, self.waiting, {}
        for request in waiting.values():
            if request[0] == "room.publish":  # again on the next connection, with its id
                self.unsent.append(request)
            elif request[0] != "room.join":
                request[2](None, {"code": None, "message": "the connection has ended"})
        return socket.close_code

    def send(self, **message):
        if self.out:
            self.out.put_nowait(json.dumps({"jsonrpc": "2.0", **message}))

    def request(self, method, params, done, item=None):
        """Calls done(result, error) once, and for a stream item(value)."""
        if self.out is None:
            return self.unsent.append((method, params, done, item))
        self.last_id += 1
        self.waiting[self.last_id] = (method, params, done, item)
        self.send(id=self.last_id, method=method, params=params)

    def cancel(self, item):
        for id, request in self.waiting.items():
            if request[3] is item:
                self.send(method="$/cancelRequest", params={"id": id})

    def join(self, room, tries=0):
        if self.out is None or self.rooms.get(room.name) is not room:
            return

        def done(answer, error):
            if self.rooms.get(room.name) is not room:
                return
            if error and error["code"] == -32000:
                again(tries, lambda: self.join(room, tries + 1))
            elif error:
                del self.rooms[room.name]
                self.show({"room": room.name, "kind": "refused", "code": error["code"]})
            else:
                self.delay = 1
                if not answer["complete"] and not room.got_gap:
                    self.show({"room": room.name, "kind": "gap"})
                p, old = answer.get("position"), room.position
                if p and (not old or (p["offset"] > old["offset"] if p["epoch"] == old["epoch"] else not room.got_message)):
                    room.position = p

        room.got_message = room.got_gap = False
        since = {"since": room.position} if room.position else {}
        self.request("room.join", {"room": room.name, **since}, done)

    def publish(self, room, data, done, id=None, tries=0):
        id = id or secrets.token_urlsafe(16)

        def answered(result, error):
            if error and error["code"] == -32000:
                again(tries, lambda: self.publish(room, data, done, id, tries + 1))
            else:
                done(result, error)

        self.request("room.publish", {"room": room, "id": id, "data": data}, answered)

    def take(self, m):
        method, id, params = m.get("method"), m.get("id"), m.get("params") or {}
        if id == "$/hello" and not method:
            error = m.get("error") or {}
            is_newer = error.get("code") == -32010 and error.get("message") == "newer"
            self.newer_since = (self.newer_since or time.monotonic()) if is_newer else None
        elif not method and id in self.waiting:
            self.waiting.pop(id)[2](m.get("result"), m.get("error"))
        elif method == "$/alive" and "id" in m:
            self.send(id=id, result=None)
        elif method and "id" in m:
            self.send(id=id, error={"code": -32601, "message": "Method not found"})
        elif method == "$/item" and params.get("id") in self.waiting:
            for value in params["items"]:
                self.waiting[params["id"]][3](value)
            self.send(method="$/more", params={"id": params["id"], "n": len(params["items"])})
        elif method and method.startswith("room.") and params.get("room") in self.rooms:
            self.take_of_room(self.rooms[params["room"]], method[5:], params)

    def take_of_room(self, room, kind, m):
        p, old, id, data = m.get("position"), room.position, m.get("id"), m.get("data")
        item = {"room": room.name, "kind": kind, "data": data, "position": p}
        if kind == "message":
            if p and old and p["epoch"] == old["epoch"] and p["offset"] <= old["offset"]:
                return
            room.position, room.got_message = p or old, True
            if id and id in room.seen and room.seen[id] == data:
                return
            if id:
                room.seen[id] = data
                if len(room.seen) > 1000:
                    room.seen.popitem(last=False)
            self.show(item)
        elif kind == "state":
            room.position, room.got_message, room.got_gap = p, True, True
            self.show(item)
        elif kind == "gap" and m.get("joining"):
            room.got_gap = True
            self.show(item)
        elif kind == "gap":
            self.join(room)
        elif kind == "members":
            now = {**m.get("members", room.members["members"]), **m.get("shown", {})}
            now = {key: one for key, one in now.items() if key not in m.get("left", [])}
            room.members = {"count": m["count"], "complete": m.get("complete", False), "members": now}

def again(tries, act):
    delay = min(2**tries, 30)
    asyncio.get_running_loop().call_later(random.uniform(delay / 2, delay), act)

def step(client, streams, do, room=None, since=None, tag=None, method=None, params=None, data=None, id=None):
    def done(result, error, kind="answer"):
        end = {"kind": "error", "code": error["code"]} if error else {"kind": kind, "data": result}
        client.show({**end, "tag": tag})

    def item(value):
        client.show({"kind": "item", "tag": tag, "data": value})

    if do == "join":
        client.rooms[room] = Room(room, since)
        client.join(client.rooms[room])
    elif do == "leave" and client.rooms.pop(room, None):
        client.request("room.leave", {"room": room}, lambda *_: None)
    elif do == "publish":
        client.publish(room, data, done, id)
    elif do == "call":
        client.request(method, params, done)
    elif do == "stream":
        streams[tag] = item
        client.request(method, params, lambda *end: done(*end, "done"), item)
    elif do == "cancel":
        client.cancel(streams[tag])
    elif do == "members":
        client.show({"room": room, "kind": "members", "data": client.rooms[room].members})

def read(loop, client, streams):
    for line in sys.stdin:
        loop.call_soon_threadsafe(lambda given: step(client, streams, **given), json.loads(line))

async def main():
    client = Client(sys.argv[-1], lambda line: print(json.dumps(line), flush=True))
    threading.Thread(target=read, args=(asyncio.get_running_loop(), client, {}), daemon=True).start()
    await client.run()

asyncio.run(main())
