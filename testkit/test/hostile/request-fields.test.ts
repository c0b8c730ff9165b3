// Requests that RFC 6455, section 4.2.1, has a word for.
import { describe, it } from 'vitest';
import { survives } from '../../src/hostile/index.ts';
import { KEY, type RequestChange } from '../../src/index.ts';
import { nothingLeft } from '../../src/peers/index.ts';
import { ask, askAll, attacked, common, statusOf } from './asking.ts';

describe('a request with', () => {
  nothingLeft();

  it('a second line of a field that stands once is refused', async () => {
    const target = await attacked();
    const lines = [
      `Sec-WebSocket-Key: ${KEY}`,
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Version: 8',
      'Host: server.example.com',
      'Host: evil.example',
    ];
    const origin = 'Origin: http://server.example.com';
    const twice = [
      ...lines.map((line) => [line]),
      [origin, origin],
      [origin, 'Origin: http://evil.example'],
    ];
    await survives(10, async (watch) => {
      const replies = await askAll(
        watch,
        target,
        twice.map((add) => ({ add })),
      );
      return { status: statusOf(replies), opened: target.opened };
    });
  });

  it('a key that is not 16 bytes of canonical base64 is refused', async () => {
    const target = await attacked();
    const keys = [
      'dGhlIHNhbXBsZSBub25j', // 15 bytes
      'dGhlIHNhbXBsZSBub25jZWU=', // 17
      '',
      'dGhlIHNhbXBsZSBub25jZQ',
      'dGhlIHNhbXBsZSBub25jZQ=',
      'dGhlIHNhbXBsZSBub25jZR==', // bits left over
      'dGhlIHNhbXBsZSBub25jZf==',
      '_-hlIHNhbXBsZSBub25jZQ==',
      'dGhlIHNhbXBsZSBub25*ZQ==',
      'dGhlIHNhbXBsZSBub25jZQ==x',
      '========================',
      `${'A'.repeat(8_190)}==`,
    ];
    await survives(18, async (watch) => {
      const replies = await askAll(
        watch,
        target,
        keys.map((key) => ({ set: [`Sec-WebSocket-Key: ${key}`] })),
      );
      return { status: statusOf(replies), opened: target.opened };
    });
  });

  it('HTTP/1.0 is refused', async () => {
    const target = await attacked();
    await survives(19, async (watch) => {
      const replies = await askAll(watch, target, [
        { line: 'GET / HTTP/1.0' },
        { line: 'GET / HTTP/1.0', without: ['host'] },
        { line: 'GET / HTTP/1.0', add: ['Connection: keep-alive'] },
        { line: 'GET / HTTP/0.9' },
      ]);
      return { status: statusOf(replies), opened: target.opened };
    });
  });

  it('no Host, or two, is refused', async () => {
    const target = await attacked();
    await survives(20, async (watch) => {
      const replies = await askAll(watch, target, [
        { without: ['host'] },
        { set: ['Host:'] },
        { add: ['Host: server.example.com'] },
        { add: ['Host: evil.example'] },
        { set: ['Host: server.example.com, evil.example'] },
        { line: 'GET http://evil.example/ HTTP/1.1' },
      ]);
      return { status: statusOf(replies), opened: target.opened };
    });
  });

  it('another method, path or version is told what would be right', async () => {
    const target = await attacked({}, ['/chat']);
    const versions = ['7', '8', '13a', '', '0', '14', '013', '13, 8'];
    await survives(29, async (watch) => {
      const methods = ['POST', 'PUT', 'DELETE', 'OPTIONS'].map((method) => ({
        line: `${method} /chat HTTP/1.1`,
      }));
      const version = await askAll(
        watch,
        target,
        versions.map((one) => ({ set: [`Sec-WebSocket-Version: ${one}`] })),
      );
      const path = await ask(watch, target, { line: 'GET /other HTTP/1.1' });
      return {
        method: statusOf(await askAll(watch, target, methods)),
        path: path.status,
        version: statusOf(version),
        supported: common(version.map(({ headers }) => headers.get('sec-websocket-version'))),
        opened: target.opened,
      };
    });
  });

  it('lists in Connection and Upgrade, in any letters, is good', async () => {
    const target = await attacked();
    const fields: RequestChange[] = [
      { set: ['Connection: keep-alive, Upgrade'] },
      { set: ['Connection: UPGRADE', 'Upgrade: WebSocket'] },
      { set: ['Connection: ,\t,upGrade,,keep-alive'] },
      { set: ['Connection: keep-alive'], add: ['Connection: Upgrade'] },
      { set: ['Upgrade: foo, websocket'] },
      { set: ['Upgrade: foo/2, WEBSOCKET, bar'] },
      { set: ['Upgrade: foo'], add: ['Upgrade: websocket'] },
      { set: ['Upgrade: a b, websocket'] },
    ];
    await survives(30, async (watch) => {
      return { status: statusOf(await askAll(watch, target, fields)) };
    });
  });
});
