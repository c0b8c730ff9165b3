// A gateway of Nest over this server.
import process from 'node:process';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import type { Conn } from '@ws/node-server';
import { from } from 'rxjs';
import { ConnAdapter } from './adapter.ts';

@WebSocketGateway({ path: '/events' })
class EventsGateway {
  handleConnection(conn: Conn): void {
    void conn.send('welcome');
  }

  @SubscribeMessage('echo')
  echo(_conn: Conn, data: unknown): object {
    return { event: 'echo', data };
  }

  @SubscribeMessage('count')
  count(_conn: Conn, to: number): object {
    return from(Array.from({ length: Math.min(to, 100) }, (_, i) => ({ event: 'count', data: i })));
  }

  @SubscribeMessage('fail')
  fail(): never {
    throw new Error('this handler fails');
  }
}

@Module({ providers: [EventsGateway] })
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ['error'] });
app.useWebSocketAdapter(new ConnAdapter(app));
app.enableShutdownHooks();
await app.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1');
console.log(await app.getUrl());
