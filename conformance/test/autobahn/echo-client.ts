// A client for the fuzzing server of the Autobahn suite and for ws-conform: echoes in each case.
import process from 'node:process';
import { type Conn, Dialer } from '@ws/node-client';

const url = (process.argv[2] ?? 'ws://127.0.0.1:9002').replace(/\/$/, '');
const dialer = new Dialer({ compression: 'takeover', readLimit: 64 * 2 ** 20 });
const agent = 'agent=node-client';

async function open(path: string): Promise<Conn> {
  return dialer.dial(url + path);
}

const counter = await open('/getCaseCount');
const count = Number((await counter.readMessage()).text());
for (let at = 1; at <= count; at++) {
  try {
    const conn = await open(`/runCase?case=${at}&${agent}`);
    await conn.receive((message) => conn.writeMessage(message.type, message.data));
  } catch {
    // Most cases break the connection, and many the handshake. Continue with the next case.
  }
}
await (await open(`/updateReports?${agent}`)).closed;
