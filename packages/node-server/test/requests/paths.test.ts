import { describe, it } from 'vitest';
import { trapLeftovers } from '../raw.ts';
import { answering, type Row } from './answered.ts';

trapLeftovers();

const NOWHERE = /no WebSocket route has this path/;
const ENCODING = /path is not percent-encoded UTF-8/;

const at = (target: string, status: number): Row => ({
  says: target.length > 60 ? `${target.slice(0, 60)}...` : target,
  line: `GET ${target} HTTP/1.1`,
  status,
  ...(status === 404 ? { text: NOWHERE } : {}),
  ...(status === 400 ? { text: ENCODING } : {}),
});

// biome-ignore format: a table
const PATHS: readonly Row[] = [
  at('/', 101),
  at('/?a', 101),
  at('ws://server.example.com', 101),
  at('/chat', 101),
  at('/chat?room=/feed/1', 101),
  at('/chat?%zz', 101),
  at('ws://server.example.com/chat', 101),
  at('/feed/1', 101),
  at('/feed/a%2Fb', 101),
  at('/feed/%E2%82%AC', 101),
  at('/feed/..', 101),
  at('/feed/%2e%2e', 101),
  at('/feed/__proto__', 101),
  at(`/feed/${'x'.repeat(8_000)}`, 101),
  at('/feed/1/edit', 101),
  at('/feed/new/edit', 101),
  at('//', 404),
  at('//chat', 404),
  at('/chat/', 404),
  at('/chat//', 404),
  at('/Chat', 404),
  at('/%63hat', 404),
  at('/chat%3Fx', 404),
  at('/chat;x', 404),
  at('/./chat', 404),
  at('/feed/../chat', 404),
  at('/%2e%2e/', 404),
  at('/feed', 404),
  at('/feed/', 404),
  at('/feed//', 404),
  at('/feed//edit', 404),
  at('/feed/1/Edit', 404),
  at('/feed/1/edit/', 404),
  at('/feed%2F1', 404),
  at('/constructor', 404),
  at('/http://server.example.com/chat', 404),
  at('/:id', 404),
  at('/*', 404),
  at('/favicon.ico', 404),
  at('/'.repeat(8_000), 404),
  at(`/feed${'/1'.repeat(4_000)}`, 404),
  at('/%', 400),
  at('/%zz', 400),
  at('/%ff', 400),
  at('/%00', 400),
  at('/chat%00', 400),
  at('/nowhere/%zz?a', 400),
  at('/feed/%', 400),
  at('/feed/%2', 400),
  at('/feed/%zz', 400),
  at('/feed/%E2%82', 400),
  at('/feed/%C0%80', 400),
  at('/feed/%zz/edit', 400),
  { ...at('/nowhere', 404), add: ['Origin: https://evil.example'], says: 'a foreign origin nowhere' },
  { ...at('/nowhere', 404), without: ['sec-websocket-key'], says: 'no key nowhere' },
  { ...at('/chat', 403), add: ['Origin: https://evil.example'], says: 'a foreign origin at a route' },
  { ...at('/nowhere', 426), text: /version/, set: ['Sec-WebSocket-Version: 8'], says: 'an older version nowhere' },
  { ...at('/nowhere', 405), text: /GET/, line: 'POST /nowhere HTTP/1.1', says: 'POST nowhere' },
  { ...at('/nowhere', 400), text: /Host/, without: ['host'], says: 'no Host nowhere' },
  { ...at('/nowhere', 400), text: /body/, add: ['Content-Length: 3'], says: 'a body nowhere' },
];

describe('a path among routes', () => {
  const answered = answering({ routes: ['/', '/chat', '/feed/:id', '/feed/:id/edit'] });
  it.each(PATHS)('$says gets $status', answered);
});
