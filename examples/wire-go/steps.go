// `client URL` reads a step a line from stdin, and prints a line for each item, answer and end: how
// `ws-conform rooms --client` tests the client.
package main

import (
	"encoding/json"
	random "math/rand"
	"os"
	"time"
)

func main() {
	random.Seed(time.Now().UnixNano())
	out := json.NewEncoder(os.Stdout)
	show := func(kind string, m obj) {
		line := obj{"kind": kind}
		for key, value := range m {
			line[key] = value
		}
		out.Encode(line)
	}
	c := &client{url: os.Args[len(os.Args)-1], show: show, rooms: map[any]*room{}, servedAt: time.Now()}
	go func() {
		in, streams := json.NewDecoder(os.Stdin), map[any]*request{}
		for {
			var s obj
			if in.Decode(&s) != nil {
				return
			}
			c.Lock()
			c.step(s, streams)
			c.Unlock()
		}
	}()
	c.run()
}

func (c *client) step(s obj, streams map[any]*request) {
	name := s["room"]
	method, _ := s["method"].(string)
	done := func(kind string) func(obj) {
		return func(answer obj) {
			if failure := sub(answer, "error"); failure != nil {
				c.show("error", obj{"tag": s["tag"], "code": failure["code"]})
			} else {
				c.show(kind, obj{"tag": s["tag"], "data": answer["result"]})
			}
		}
	}
	switch s["do"] {
	case "join":
		c.rooms[name] = newRoom(sub(s, "since"))
		c.join(name, c.rooms[name], 1)
	case "leave":
		delete(c.rooms, name)
		c.request(&request{"room.leave", obj{"room": name}, func(obj) {}, nil, nil})
	case "publish":
		params := obj{"room": name, "data": s["data"], "id": newID()}
		if s["id"] != nil {
			params["id"] = s["id"]
		}
		c.publish(params, 1, done("answer"))
	case "call":
		c.request(&request{method, sub(s, "params"), done("answer"), nil, nil})
	case "stream":
		item := func(value any) { c.show("item", obj{"tag": s["tag"], "data": value}) }
		streams[s["tag"]] = &request{method, sub(s, "params"), done("done"), item, nil}
		c.request(streams[s["tag"]])
	case "cancel":
		c.cancel(streams[s["tag"]])
	case "members":
		c.show("members", obj{"room": name, "data": c.rooms[name].members})
	}
}
