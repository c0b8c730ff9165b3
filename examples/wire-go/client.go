// A client of calls and rooms by docs/wire.md, with gorilla/websocket. This file is to copy.
package main

import (
	"encoding/json"
	"fmt"
	"github.com/gorilla/websocket"
	"math"
	random "math/rand"
	"sync"
	"time"
)

type obj = map[string]any
type request struct {
	method string
	params obj
	done   func(answer obj) // has result or error
	item   func(value any)  // of a stream
	id     any              // nil before it is sent
}
type room struct {
	position, members  obj               // position is nil before the first
	seen, older        map[string]string // by id: the data of 1,000 messages as JSON, and of 1,000 before
	gotMessage, gotGap bool              // since the last join; a state counts as both
}
type client struct {
	sync.Mutex    // held by all but run and talk
	url           string
	show          func(string, obj) // gets the kind of each item, and of the end
	conn          *websocket.Conn
	rooms         map[any]*room
	waiting       map[any]*request
	unsent        []*request
	lastID, delay float64   // delay of the next dial, in s
	isNewer       bool      // the server has refused this client's version as newer
	servedAt      time.Time // when it has not
}

func sub(m obj, name string) obj         { o, _ := m[name].(obj); return o }
func list(value any) []any               { l, _ := value.([]any); return l }
func note(method string, params obj) obj { return obj{"method": method, "params": params} }
func newRoom(since obj) *room            { return &room{position: since, seen: map[string]string{}} }
func half(s float64) time.Duration       { return time.Duration(s * (1 + random.Float64()) / 2 * 1e9) } // at random
func (c *client) run() {
	for isFinal := false; !isFinal && (!c.isNewer || time.Since(c.servedAt) < time.Minute); {
		time.Sleep(half(c.delay))
		c.delay = math.Min(math.Max(1, 2*c.delay), 30)
		conn, answer, err := websocket.DefaultDialer.Dial(c.url, nil)
		if err == nil {
			isFinal = c.talk(conn)
		} else if answer != nil {
			after, _ := time.ParseDuration(answer.Header.Get("Retry-After") + "s")
			time.Sleep(time.Duration(math.Min(float64(after), 60e9)))
			isFinal = answer.StatusCode == 401 || answer.StatusCode == 403
		}
	}
	c.show("end", obj{})
}
func (c *client) talk(conn *websocket.Conn) bool {
	c.Lock()
	defer c.Unlock()
	again := c.unsent
	c.conn, c.waiting, c.unsent = conn, map[any]*request{}, nil
	c.send(obj{"id": "$/hello", "method": "$/hello", "params": obj{"wire": 1}})
	for name, r := range c.rooms {
		c.join(name, r, 1)
	}
	for _, each := range again {
		c.request(each)
	}
	defer conn.Close()
	var err error
	for m := (obj{}); err == nil; c.take(m) {
		m = nil
		c.Unlock()
		err = conn.ReadJSON(&m)
		c.Lock()
	}
	c.conn = nil
	for _, each := range c.waiting {
		if each.method == "room.publish" {
			c.unsent = append(c.unsent, each) // again on the next connection, with its id
		} else if each.method != "room.join" {
			each.done(obj{"error": obj{"message": "the connection has ended"}})
		}
	}
	return websocket.IsCloseError(err, 1008, 4409, 4426)
}
func (c *client) send(message obj) {
	if message["jsonrpc"] = "2.0"; c.conn != nil {
		c.conn.WriteJSON(message) // an error ends the reads too
	}
}
func (c *client) request(r *request) {
	if c.lastID++; c.conn == nil {
		c.unsent = append(c.unsent, r)
		return
	}
	c.waiting[c.lastID], r.id = r, c.lastID
	c.send(obj{"id": r.id, "method": r.method, "params": r.params})
}
func (c *client) cancel(r *request) { c.send(note("$/cancelRequest", obj{"id": r.id})) }
func (c *client) again(answer obj, delay float64, act func()) bool { // after delay s, if it is -32000
	if sub(answer, "error")["code"] != -32000.0 {
		return false
	}
	time.AfterFunc(half(math.Min(delay, 30)), func() { c.Lock(); act(); c.Unlock() })
	return true
}
func (c *client) join(name any, r *room, delay float64) {
	if c.conn == nil || c.rooms[name] != r {
		return
	}
	r.gotMessage, r.gotGap = false, false
	params := obj{"room": name, "since": r.position}
	if r.position == nil {
		delete(params, "since")
	}
	c.request(&request{"room.join", params, func(answer obj) {
		result, p := sub(answer, "result"), sub(sub(answer, "result"), "position")
		if c.rooms[name] != r || c.again(answer, delay, func() { c.join(name, r, 2*delay) }) {
			return
		} else if result == nil {
			delete(c.rooms, name)
			c.show("refused", obj{"room": name, "code": sub(answer, "error")["code"]})
		} else if c.delay = 1; result["complete"] != true && !r.gotGap {
			c.show("gap", obj{"room": name})
		}
		if p != nil && !isUpTo(p, r.position) && (isUpTo(r.position, p) || !r.gotMessage) {
			r.position = p
		}
	}, nil, nil})
}
func offset(p obj) float64 { o, _ := p["offset"].(float64); return o }
func isUpTo(p, q obj) bool { return p != nil && p["epoch"] == q["epoch"] && offset(p) <= offset(q) }
func newID() string        { return fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()) }
func (c *client) publish(params obj, delay float64, done func(obj)) {
	c.request(&request{"room.publish", params, func(answer obj) {
		if !c.again(answer, delay, func() { c.publish(params, 2*delay, done) }) {
			done(answer)
		}
	}, nil, nil})
}
func (c *client) take(m obj) {
	id, hasID := m["id"]
	params, answered := sub(m, "params"), c.waiting[id]
	switch method, r := m["method"], c.rooms[params["room"]]; {
	case method == nil && id == "$/hello":
		if c.isNewer = sub(m, "error")["message"] == "newer"; !c.isNewer {
			c.servedAt = time.Now()
		}
	case method == nil && answered != nil:
		delete(c.waiting, id)
		answered.done(m)
	case method == "$/alive" && hasID:
		c.send(obj{"id": id, "result": nil})
	case method != nil && hasID:
		c.send(obj{"id": id, "error": obj{"code": -32601, "message": "Method not found"}})
	case method == "$/item" && c.waiting[params["id"]] != nil:
		for _, value := range list(params["items"]) {
			c.waiting[params["id"]].item(value)
		}
		c.send(note("$/more", obj{"id": params["id"], "n": len(list(params["items"]))}))
	case method == "room.message" && r != nil && !isUpTo(sub(params, "position"), r.position):
		c.message(r, params)
	case r != nil && (method == "room.state" || method == "room.gap" && params["joining"] == true):
		if r.gotGap = true; method == "room.state" {
			r.position, r.gotMessage = sub(params, "position"), true
		}
		c.show(method.(string)[5:], params)
	case method == "room.gap" && r != nil:
		c.join(params["room"], r, 1)
	case method == "room.members" && r != nil:
		all := sub(params, "members")
		if all == nil {
			all = sub(r.members, "members")
		}
		for key, one := range sub(params, "shown") {
			all[key] = one
		}
		for _, key := range list(params["left"]) {
			delete(all, key.(string))
		}
		r.members = obj{"count": params["count"], "complete": params["complete"], "members": all}
	}
}
func (c *client) message(r *room, m obj) {
	if m["position"] != nil {
		r.position = sub(m, "position")
	}
	id, _ := m["id"].(string)
	data, _ := json.Marshal(m["data"])
	if r.gotMessage = true; id == "" || r.seen[id] != string(data) && r.older[id] != string(data) {
		c.show("message", m)
	}
	if r.seen[id] = string(data); len(r.seen) > 1000 {
		r.seen, r.older = map[string]string{}, r.seen
	}
}
