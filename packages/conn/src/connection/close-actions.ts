import type { Extension, Role, WebSocketError } from '@ws/codec';
import type { CloseInfo } from '../close-info.ts';
import type { PerMessageDeflate } from '../deflate/per-message-deflate.ts';
import { transportFailed } from '../errors.ts';
import { onRejection } from '../on-rejection.ts';
import type { Platform } from '../platform/platform.ts';
import type { ReadSide } from '../read/read-side.ts';
import type { ReceiveCall } from '../read/receive-call.ts';
import type { TimerEntry, Timers } from '../time/timers.ts';
import type { Transport } from '../transport.ts';
import type { WriteSide } from '../write/write-side.ts';
import type { CloseActions } from './close-handshake.ts';

/** The parts of a connection that {@link ConnectionCloseActions} uses. */
export interface CloseTarget extends TimerEntry {
  readonly shared: { readonly role: Role; readonly timers: Timers };
  readonly settings: { readonly closeTimeout: number };
  readonly platform: Platform;
  readonly transport: Transport;
  readonly deflate: PerMessageDeflate | undefined;
  readonly readSide: ReadSide;
  readonly writeSide: WriteSide;
  readonly paused: boolean;
  readonly receiveCall: ReceiveCall | undefined;
  /** As `CloseActions.readerPatience`. */
  readonly readerPatience: number;
  callCloseHandler(code: number, reason: string): Promise<void> | undefined;
  balance(): void;
  scheduleEndOfTurn(): void;
  /** Runs `use`. An error of a property of the transport ends this connection only. */
  guardTransport(use: () => void): void;
  /** The transport is closed. */
  close(error: Error): void;
  /** Clears every timer of the connection. */
  stopTimers(): void;
  report(error: unknown, where: string): void;
  /** Resolves `closed` with `info` and informs the observer. */
  settle(info: CloseInfo): void;
}

/**
 * Carries out the actions of a {@link CloseHandshake} on its connection. The connection creates
 * both together.
 */
export class ConnectionCloseActions implements CloseActions {
  readonly #connection: CloseTarget;

  constructor(connection: CloseTarget) {
    this.#connection = connection;
  }

  get role(): Role {
    return this.#connection.shared.role;
  }

  get closeTimeout(): number {
    return this.#connection.settings.closeTimeout;
  }

  get acceptsClose(): boolean {
    return this.#connection.writeSide.sendQueue.open;
  }

  get unsent(): boolean {
    return this.#connection.writeSide.sendQueue.unsent;
  }

  get unparsed(): boolean {
    const { readSide } = this.#connection;
    return readSide.pending && !readSide.stopped;
  }

  get readAheadFull(): boolean {
    const { paused, readSide } = this.#connection;
    if (readSide.stopped || readSide.dropping) return false;
    return paused || (!readSide.hasRoom && !readSide.wantsInput);
  }

  get readerPatience(): number {
    return this.#connection.readerPatience;
  }

  get allRead(): boolean {
    return this.#connection.readSide.idle;
  }

  get inReceiveHandler(): boolean {
    return this.#connection.receiveCall?.inCall === true;
  }

  get readProgress(): number {
    return this.#connection.readSide.progress;
  }

  isCloseSent(error: unknown): boolean {
    return this.#connection.writeSide.sendQueue.isCloseSent(error);
  }

  sendAccepted(): void {
    this.#connection.writeSide.sendAccepted();
  }

  sendClose(payload: Uint8Array): boolean {
    const { writeSide } = this.#connection;
    const sent = writeSide.sendQueue.close(payload);
    writeSide.end();
    return sent;
  }

  failWrites(error: WebSocketError): void {
    this.#connection.writeSide.sendQueue.fail(error);
  }

  endWrites(error: WebSocketError): void {
    const { writeSide } = this.#connection;
    writeSide.sendQueue.stopAccepting(error);
    writeSide.end();
  }

  cutWrites(): void {
    this.#connection.writeSide.sendQueue.cut();
  }

  endTransport(): void {
    this.#connection.writeSide.sendQueue.end();
  }

  destroyTransportWhenSent(): void {
    const connection = this.#connection;
    connection.platform.yield(() => {
      connection.guardTransport(() => {
        if (connection.writeSide.sendQueue.bufferedAmount === 0) this.destroyTransport();
      });
    });
  }

  destroyTransport(): void {
    try {
      const destroyed: unknown = this.#connection.transport.destroy();
      onRejection(destroyed, (error) => this.#notDestroyed(error));
    } catch (error) {
      this.#notDestroyed(error);
    }
  }

  /**
   * A transport that could not be destroyed may never report its close. The connection ends now.
   */
  #notDestroyed(cause: unknown): void {
    const connection = this.#connection;
    connection.report(cause, 'transport.destroy');
    connection.platform.defer(() => connection.close(transportFailed('destroy', cause)));
  }

  parseRest(): void {
    this.#connection.readSide.parseRest();
  }

  stopInput(): void {
    this.#connection.readSide.stop();
  }

  dropMessages(): void {
    this.#connection.readSide.start();
    this.#connection.readSide.dropAll();
  }

  dropExcess(): void {
    this.#connection.readSide.dropExcess();
    this.#connection.scheduleEndOfTurn();
  }

  endReading(reason: unknown): void {
    this.#connection.readSide.end(reason);
  }

  callCloseHandler(code: number, reason: string): Promise<void> | undefined {
    return this.#connection.callCloseHandler(code, reason);
  }

  now(): number {
    return this.#connection.platform.now();
  }

  setAlarm(ms: number): void {
    this.#connection.shared.timers.set(this.#connection, ms);
  }

  balance(): void {
    this.#connection.balance();
  }

  scheduleEndOfTurn(): void {
    this.#connection.scheduleEndOfTurn();
  }

  release(error: WebSocketError | undefined): void {
    const { deflate, readSide, writeSide } = this.#connection;
    this.#connection.stopTimers();
    writeSide.sendQueue.destroy(error);
    writeSide.end();
    if (deflate === undefined) return;
    deflate.compressor.destroy();
    try {
      readSide.leavePools();
    } catch {
      // There is no memory for a copy: the unread input is dropped.
      readSide.stop();
    }
  }

  report(error: unknown, where: string): void {
    this.#connection.report(error, where);
  }

  settle(info: CloseInfo): void {
    this.#connection.settle(info);
  }
}
